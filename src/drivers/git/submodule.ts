/** The repositories of a commit's submodules. */
import type { RepositoryRef } from '../../domain/deploys/deployment/ports.ts'
import { splitRepositoryUrl } from '../../platform/repository-url.ts'
import { sourceRejected } from './failure.ts'
import type { GitSession } from './session.ts'
import { originOf, parseAddress } from './transport.ts'

/** URLs by path, from the `.gitmodules` of the commit. */
export async function readSubmodules(session: GitSession, commit: string): Promise<Map<string, string>> {
  const listed = await session.mustLocal(['config', '-z', `--blob=${commit}:.gitmodules`, '--list'])
  const paths = new Map<string, string>()
  const urls = new Map<string, string>()
  for (const entry of listed.stdout.toString('utf8').split('\0')) {
    const lineEnd = entry.indexOf('\n')
    const [, name = '', key] = /^submodule\.(.*)\.([^.]+)$/s.exec(entry.slice(0, lineEnd)) ?? []
    if (key === 'path') paths.set(name, entry.slice(lineEnd + 1))
    if (key === 'url') urls.set(name, entry.slice(lineEnd + 1))
  }
  return new Map([...paths].flatMap(([name, path]) => (urls.has(name) ? [[path, urls.get(name) ?? '']] : [])))
}

/**
 * The repository of a submodule, to be checked like any other. It gets the credential or key only if it has the same origin. Throws
 * SOURCE_REJECTED for a file: submodule of a remote repository, which would read this machine's disk.
 */
export function submoduleRef(session: GitSession, url: string): RepositoryRef {
  const { repository, transport, settings } = session
  const isRelative = url.startsWith('./') || url.startsWith('../')
  const split = splitRepositoryUrl(isRelative ? resolveRelative(repository.url, url) : url)
  const address = parseAddress(split.url, settings)
  if (address.transport === 'file' && transport.protocol !== 'file')
    throw sourceRejected('A file: submodule is allowed only in a file: repository.')
  const isSameOrigin = address.transport !== 'file' && originOf(address) === transport.origin
  const { credential, sshKey } = isSameOrigin ? repository : { credential: null, sshKey: null }
  return { url: split.url, credential: split.credential ?? credential, sshKey }
}

/** Like git: each `../` removes one part of the parent's URL, at a `/` or at the colon of an scp-like URL. */
function resolveRelative(parent: string, relative: string): string {
  let base = parent.replace(/\/+$/, '')
  let rest = relative
  let separator = '/'
  for (;;) {
    if (rest.startsWith('./')) rest = rest.slice(2)
    else if (rest.startsWith('../')) {
      rest = rest.slice(3)
      const slash = base.lastIndexOf('/')
      const colon = base.lastIndexOf(':')
      const cut = slash >= 0 ? slash : colon
      if (cut <= 0) throw sourceRejected(`The submodule URL "${relative}" points above its parent.`)
      separator = slash >= 0 ? '/' : ':'
      base = base.slice(0, cut)
    } else return `${base}${separator}${rest}`
  }
}
