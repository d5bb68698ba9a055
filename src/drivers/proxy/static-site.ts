/** Resolves a path of a static site to a file, a page without its `.html`, the index of a folder, or the fallback page. */
import { realpath, stat } from 'node:fs/promises'
import { relative, sep } from 'node:path'
import type { StaticFiles } from '../../domain/deploys/instance/ports.ts'
import { isPublished } from '../../platform/published-file.ts'
import { answer, type Exchange } from './exchange.ts'
import { releaseHeaders } from './header.ts'
import { type SiteFile, sendFile } from './static-file.ts'

export type StaticSite = StaticFiles & {
  digest: string
  /** Whether an unknown path without a file extension serves the index page. */
  singlePage: boolean
}

/** A file or folder inside the tree. `name` is relative to the tree's real root, '/' separated, without symbolic links. */
type Found = ({ type: 'file' } & SiteFile) | { type: 'folder'; name: string } | { type: 'none' }

/**
 * Serves a file of a static release. The path is resolved to its real path, which must be inside the tree and contain no name that sites
 * never publish. A release never changes, so `send` reads the file that was checked.
 */
export async function serveStatic(exchange: Exchange, site: StaticSite): Promise<void> {
  const { request } = exchange
  if (request.method !== 'GET' && request.method !== 'HEAD') return answer(exchange, 'method_not_allowed', { Allow: 'GET, HEAD' })
  const [path = '', ...query] = exchange.path.split('?')
  const segments = decodeSegments(path)
  if (segments === null) return answer(exchange, 'bad_request')
  const root = await realpath(site.root).catch(() => null)
  if (root === null) return answer(exchange, 'no_healthy_instance')

  const send = (file: SiteFile, status: 200 | 404) => sendFile(exchange, { ...site, root }, file, status)
  const address = (to: string[], end: '' | '/') =>
    `/${to.map(encodeURIComponent).join('/')}${end}${query.length > 0 ? `?${query.join('?')}` : ''}`
  const asFolder = path.endsWith('/')
  const found = await locate(root, segments)
  if (found.type === 'file' && !asFolder) return send(found, 200)
  if (found.type === 'folder') {
    const index = await locate(root, [...segments, 'index.html'])
    if (index.type === 'file') return asFolder ? send(index, 200) : redirect(exchange, address(segments, '/'))
  }
  const page = await pageOf(root, segments)
  if (page.type === 'file') return asFolder ? redirect(exchange, address(segments, '')) : send(page, 200)

  const fallback = await fallbackOf(root, segments, site.singlePage)
  if (fallback.type === 'file') return send(fallback, 200)
  const missing = await locate(root, ['404.html'])
  exchange.outcome.error = 'not_found'
  if (missing.type === 'file') return send(missing, 404)
  return answer(exchange, 'not_found')
}

/** `/about` serves `about.html`. */
async function pageOf(root: string, segments: string[]): Promise<Found> {
  const last = segments.at(-1)
  return last === undefined ? { type: 'none' } : await locate(root, [...segments.slice(0, -1), `${last}.html`])
}

/** The page for unknown paths without a file extension. A missing image or script has no fallback. */
async function fallbackOf(root: string, segments: string[], singlePage: boolean): Promise<Found> {
  const isPagePath = segments.every(isPublished) && !/\.[^.]+$/.test(segments.at(-1) ?? '')
  if (!isPagePath) return { type: 'none' }
  const page = await locate(root, ['200.html'])
  return page.type === 'file' || !singlePage ? page : await locate(root, ['index.html'])
}

/** Null for a path with invalid escapes, an encoded slash, a backslash, a NUL byte or `..`. */
function decodeSegments(path: string): string[] | null {
  const segments: string[] = []
  for (const part of path.split('/')) {
    let name: string
    try {
      name = decodeURIComponent(part)
    } catch {
      return null
    }
    if (/[/\\\0]/.test(name) || name === '..') return null
    if (name !== '' && name !== '.') segments.push(name)
  }
  return segments
}

async function locate(root: string, segments: string[]): Promise<Found> {
  if (!segments.every(isPublished)) return { type: 'none' }
  try {
    const real = await realpath([root, ...segments].join(sep))
    const inside = root.endsWith(sep) ? root : root + sep
    if (real !== root && !real.startsWith(inside)) return { type: 'none' }
    const name = relative(root, real).split(sep)
    if (name.some((part) => part !== '' && !isPublished(part))) return { type: 'none' }
    const info = await stat(real)
    if (info.isDirectory()) return { type: 'folder', name: name.join('/') }
    if (info.isFile()) return { type: 'file', name: name.join('/'), modified: info.mtime, sizeBytes: info.size }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG'].includes(code ?? '')) throw error
  }
  return { type: 'none' }
}

function redirect({ response, outcome }: Exchange, location: string): void {
  const release = releaseHeaders(outcome.route)
  for (let i = 0; i + 1 < release.length; i += 2) response.setHeader(release[i]!, release[i + 1]!)
  response.writeHead(308, { Location: location, 'Cache-Control': 'no-cache', 'Content-Length': 0 })
  response.end()
}
