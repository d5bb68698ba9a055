/** Finds what a path of a static site means: a file, a page without its `.html`, a folder's index, or the page for everything else. */
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

/** A file or folder inside the tree: its name relative to the tree's real root, '/' separated, with no link in it. */
type Found = ({ type: 'file' } & SiteFile) | { type: 'folder'; name: string } | { type: 'none' }

/**
 * Serves a file of a static release. What the path names is followed to its real place first and must lie in the tree, and no part of
 * that may be one that a site never gives away. A release's tree doesn't change, so what was checked is what `send` then reads.
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

/** `/about` is `about.html`. */
async function pageOf(root: string, segments: string[]): Promise<Found> {
  const last = segments.at(-1)
  return last === undefined ? { type: 'none' } : await locate(root, [...segments.slice(0, -1), `${last}.html`])
}

/** What a site of one page answers for its own addresses; a missing picture or script stays missing. */
async function fallbackOf(root: string, segments: string[], singlePage: boolean): Promise<Found> {
  const isAddress = segments.every(isPublished) && !/\.[^.]+$/.test(segments.at(-1) ?? '')
  if (!isAddress) return { type: 'none' }
  const page = await locate(root, ['200.html'])
  return page.type === 'file' || !singlePage ? page : await locate(root, ['index.html'])
}

/** Null for what no honest link contains: bad escapes, an encoded or backward slash, a null byte, a step up. */
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
