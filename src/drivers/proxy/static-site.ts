import { createHash } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { relative, sep } from 'node:path'
import send from 'send'
import { isPublished } from '../../platform/published-file.ts'
import { type AnswerCode, answer, type Exchange } from './exchange.ts'
import { releaseHeaders } from './header.ts'

/** A file inside the tree: its name relative to the tree's real root, '/' separated, with no link in it. */
type Found = { type: 'file'; name: string; modified: Date; sizeBytes: number } | { type: 'folder'; name: string } | { type: 'none' }

/**
 * Serves a file of a static release. What the path names is followed to its real place first and must lie in the tree, and
 * no part of that may be one that a site never gives away. A release's tree doesn't change, so what was checked is what `send` then reads.
 */
export async function serveStatic(exchange: Exchange, directory: string, digest: string): Promise<void> {
  const { request } = exchange
  if (request.method !== 'GET' && request.method !== 'HEAD') return answer(exchange, 'method_not_allowed', { Allow: 'GET, HEAD' })
  const [path = '', ...query] = exchange.path.split('?')
  const segments = decodeSegments(path)
  if (segments === null) return answer(exchange, 'bad_request')

  const root = await realpath(directory).catch(() => null)
  if (root === null) return answer(exchange, 'no_healthy_instance')
  const asFolder = path.endsWith('/')
  let found = await locate(root, segments)
  if (found.type === 'folder') {
    const index = await locate(root, [...segments, 'index.html'])
    if (index.type === 'file' && !asFolder) {
      const location = `/${segments.map(encodeURIComponent).join('/')}/${query.length > 0 ? `?${query.join('?')}` : ''}`
      return redirect(exchange, location)
    }
    found = index
  } else if (asFolder) {
    found = { type: 'none' }
  }
  if (found.type === 'file') return sendFile(exchange, root, found, digest, 200)

  const page = await locate(root, ['404.html'])
  exchange.outcome.error = 'not_found'
  if (page.type === 'file') return sendFile(exchange, root, page, digest, 404)
  return answer(exchange, 'not_found')
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

function sendFile(
  exchange: Exchange,
  root: string,
  file: { name: string; modified: Date; sizeBytes: number },
  digest: string,
  status: 200 | 404,
): void {
  const { request, response, outcome } = exchange
  // Two releases may have files of one size and time: the digest must be part of the tag.
  const tag = createHash('sha256').update(`${digest}\n${file.name}\n${file.sizeBytes}\n${file.modified.getTime()}`).digest('base64url')
  response.statusCode = status
  response.setHeader('ETag', `"${tag.slice(0, 27)}"`)
  // The same address shows another release after a switch: caches may keep it, but must ask.
  response.setHeader('Cache-Control', status === 404 ? 'no-store' : 'public, max-age=0, must-revalidate')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  const release = releaseHeaders(outcome.route)
  for (let i = 0; i + 1 < release.length; i += 2) response.setHeader(release[i]!, release[i + 1]!)
  if (status === 404) response.setHeader('X-Quayside-Error', 'not_found')
  // After a rollback files are older than what a client has seen; only the very same time means the same file.
  if (request.headers['if-modified-since'] !== file.modified.toUTCString()) delete request.headers['if-modified-since']

  send(request, `/${file.name.split('/').map(encodeURIComponent).join('/')}`, {
    root,
    index: false,
    dotfiles: 'allow',
    cacheControl: false,
    acceptRanges: status === 200,
  })
    .on('error', (error: { status?: number }) => {
      const headers: Record<string, string> = error.status === 416 ? { 'Content-Range': `bytes */${file.sizeBytes}` } : {}
      answer(exchange, codeOf(error.status), headers)
    })
    .pipe(response)
}

function codeOf(status: number | undefined): AnswerCode {
  if (status === 404) return 'not_found'
  if (status === 412) return 'precondition_failed'
  if (status === 416) return 'range_not_satisfiable'
  return 'internal'
}

function redirect({ response, outcome }: Exchange, location: string): void {
  const release = releaseHeaders(outcome.route)
  for (let i = 0; i + 1 < release.length; i += 2) response.setHeader(release[i]!, release[i + 1]!)
  response.writeHead(308, { Location: location, 'Cache-Control': 'no-cache', 'Content-Length': 0 })
  response.end()
}
