/** Resolves a branch, tag or hash to a commit with its message and author. */
import type { PinnedCommit, PinRequest } from '../../domain/deploys/deployment/ports.ts'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import { validateBranch } from '../../platform/repository-url.ts'
import { commitNotFound, sourceRejected } from './failure.ts'
import { failure, fetchCommit, searchHistory } from './fetch.ts'
import type { GitSettings } from './options.ts'
import { type GitSession, withSession } from './session.ts'

const FULL_HASH = /^([0-9a-f]{40}|[0-9a-f]{64})$/i
const SHORT_HASH = /^[0-9a-f]{4,63}$/i
const MESSAGE_LENGTH = 2_000
const AUTHOR_LENGTH = 200

export async function pinCommit(request: PinRequest, settings: GitSettings, io: StepIo): Promise<PinnedCommit> {
  const { repository } = request
  for (const [what, name] of [
    ['branch', request.branch],
    ['commit', request.commit],
  ] as const)
    if (name !== null) refuseBadName(what, name)
  const branch = readName(request.branch)
  const commit = request.commit === null ? null : readName(request.commit)
  return withSession(repository, settings, io, async (session) => {
    await session.say(`Resolving ${(commit ?? branch).name} in ${repository.url}`)
    const target = await resolve(session, branch, commit)
    await session.say(`Resolved to commit ${target.hash.slice(0, 7)} ${target.message.split('\n')[0] ?? ''}`.trimEnd())
    return target
  })
}

function refuseBadName(what: 'branch' | 'commit', name: string): void {
  const reason = validateBranch(name)
  if (reason !== null) throw sourceRejected(`The ${what} name is not valid: ${reason}.`)
}

/** A name, and the kind of ref that it must be: `refs/heads/x` and `refs/tags/x` specify it, a plain name does not. */
type Name = { name: string; of: 'branch' | 'tag' | null }

function readName(text: string): Name {
  const [, kind, name] = /^refs\/(heads|tags)\/(.+)$/.exec(text) ?? []
  return name === undefined ? { name: text, of: null } : { name, of: kind === 'tags' ? 'tag' : 'branch' }
}

async function resolve(session: GitSession, branch: Name, commit: Name | null): Promise<PinnedCommit> {
  if (commit !== null && FULL_HASH.test(commit.name)) return readCommit(session, commit.name.toLowerCase(), branch.name)

  const { name, of } = commit ?? branch
  const refs = await listRefs(session, name)
  const head = of === 'tag' ? undefined : refs.get(`refs/heads/${name}`)
  const tag = of === 'branch' ? undefined : (refs.get(`refs/tags/${name}^{}`) ?? refs.get(`refs/tags/${name}`))
  if (commit === null) {
    // A branch was requested. A tag of the same name is accepted, too.
    const found = head ?? tag
    if (found !== undefined) return readCommit(session, found, name)
    throw of === 'tag' ? commitNotFound(`There is no tag ${name}.`) : await branchNotFound(session, name)
  }
  if (tag !== undefined) return readCommit(session, tag, branch.name)
  if (head !== undefined) return readCommit(session, head, name)
  if (of === null && SHORT_HASH.test(name)) return resolveShortHash(session, name.toLowerCase(), branch.name)
  throw commitNotFound(of === null ? `There is no tag, branch or commit ${name}.` : `There is no ${of} ${name}.`)
}

/** The refs with exactly this name: git's patterns also match the end of longer names. */
async function listRefs(session: GitSession, name: string): Promise<Map<string, string>> {
  const wanted = [`refs/heads/${name}`, `refs/tags/${name}`, `refs/tags/${name}^{}`]
  const listed = await session.network(['ls-remote', '--quiet', 'origin', ...wanted])
  if (listed.exitCode !== 0) throw failure(session, listed)
  const refs = parseRefs(listed.stdout)
  return new Map(wanted.flatMap((ref) => (refs.has(ref) ? [[ref, refs.get(ref) ?? '']] : [])))
}

async function branchNotFound(session: GitSession, branch: string) {
  const listed = await session.network(['ls-remote', '--quiet', '--heads', 'origin'])
  if (listed.exitCode !== 0) return failure(session, listed)
  const names = [...parseRefs(listed.stdout).keys()].map((ref) => ref.slice('refs/heads/'.length))
  if (names.length === 0) return commitNotFound(`There is no branch ${branch}: the repository is empty.`, 'Push a commit to it first.')
  const more = names.length > 10 ? ', …' : ''
  return commitNotFound(`There is no branch ${branch}.`, `The repository has: ${names.slice(0, 10).join(', ')}${more}`)
}

function parseRefs(stdout: Buffer): Map<string, string> {
  const lines = stdout.toString('utf8').split('\n')
  return new Map(
    lines.flatMap((line) => {
      const [hash = '', ref = ''] = line.split('\t')
      return FULL_HASH.test(hash) && ref !== '' ? [[ref, hash] as const] : []
    }),
  )
}

async function resolveShortHash(session: GitSession, short: string, branch: string): Promise<PinnedCommit> {
  const heads = await listRefs(session, branch)
  const head = heads.get(`refs/heads/${branch}`)
  if (head === undefined) throw commitNotFound(`There is no tag, branch or commit ${short}, and no branch ${branch} to look for it in.`)
  await session.init(head)
  let hash = ''
  const found = await searchHistory(session, branch, 'commits', async () => {
    const parsed = await session.local(['rev-parse', '--verify', '--end-of-options', `${short}^{commit}`])
    if (/ambiguous/.test(parsed.stderr))
      throw commitNotFound(`More than one commit begins with ${short}.`, 'Use a longer prefix of the hash.')
    hash = parsed.stdout.toString().trim()
    return parsed.exitCode === 0
  })
  if (!found) throw commitNotFound(`There is no tag or branch ${short}, and no commit of the branch ${branch} begins with it.`)
  return describe(session, hash, branch)
}

async function readCommit(session: GitSession, hash: string, branch: string): Promise<PinnedCommit> {
  await session.init(hash)
  await fetchCommit(session, hash, branch, 'commits')
  return describe(session, hash, branch)
}

/** `hash` may be that of an annotated tag; the result is the tagged commit. */
async function describe(session: GitSession, hash: string, branch: string): Promise<PinnedCommit> {
  const shown = await session.mustLocal(['log', '-1', '--no-show-signature', '--encoding=UTF-8', '--format=%H%n%an%n%B', hash, '--'])
  const [commitHash = '', author = '', ...message] = shown.stdout.toString('utf8').split('\n')
  return { hash: commitHash, message: bounded(message.join('\n').trim(), MESSAGE_LENGTH), author: bounded(author, AUTHOR_LENGTH), branch }
}

function bounded(text: string, length: number): string {
  // Does not cut a surrogate pair in two.
  return text
    .replaceAll('\0', '')
    .slice(0, length)
    .replace(/[\ud800-\udbff]$/, '')
}
