/** Sends one file of a static site, with the content encoding that the client accepts and with caching headers. */
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { extname, join } from 'node:path'
import send from 'send'
import { type AnswerCode, answer, type Exchange } from './exchange.ts'
import { releaseHeaders } from './header.ts'

/** `name` is relative to the site's root, '/' separated, without symbolic links. */
export type SiteFile = { name: string; modified: Date; sizeBytes: number }

type Site = { root: string; encoded: string | null; digest: string }

const encodings = [
  { name: 'br', ending: '.br' },
  { name: 'gzip', ending: '.gz' },
] as const

export async function sendFile(exchange: Exchange, site: Site, file: SiteFile, status: 200 | 404): Promise<void> {
  const { request, response, outcome } = exchange
  const copies = await encodedCopies(site, file)
  // A range refers to the bytes of the file itself.
  const copy = request.headers.range === undefined ? chooseCopy(request, copies) : null
  // Files of two releases may have the same size and time, so the digest is part of the tag.
  const tag = createHash('sha256').update(`${site.digest}\n${file.name}\n${file.sizeBytes}\n${file.modified.getTime()}`).digest('base64url')
  response.statusCode = status
  response.setHeader('ETag', `"${tag.slice(0, 27)}${copy === null ? '' : `-${copy.name}`}"`)
  response.setHeader('Last-Modified', file.modified.toUTCString())
  response.setHeader('Cache-Control', cacheControl(file.name, status))
  response.setHeader('X-Content-Type-Options', 'nosniff')
  if (copies.length > 0) response.setHeader('Vary', 'Accept-Encoding')
  if (copy !== null) response.setHeader('Content-Encoding', copy.name)
  const release = releaseHeaders(outcome.route)
  for (let i = 0; i + 1 < release.length; i += 2) response.setHeader(release[i]!, release[i + 1]!)
  if (status === 404) response.setHeader('X-Quayside-Error', 'not_found')
  // After a rollback, files may be older than the client's copy. Only an equal time means the same file.
  if (request.headers['if-modified-since'] !== file.modified.toUTCString()) delete request.headers['if-modified-since']

  const path = `/${file.name.split('/').map(encodeURIComponent).join('/')}`
  const sending = send(request, copy === null ? path : path + copy.ending, {
    root: copy === null ? site.root : site.encoded!,
    index: false,
    dotfiles: 'allow',
    cacheControl: false,
    acceptRanges: status === 200 && copy === null,
  })
  // The type of the file, not of its compressed copy.
  const setType = sending.type.bind(sending)
  sending.type = () => setType(file.name)
  sending
    .on('error', (error: { status?: number }) => {
      const headers: Record<string, string> = error.status === 416 ? { 'Content-Range': `bytes */${file.sizeBytes}` } : {}
      answer(exchange, codeOf(error.status), headers)
    })
    .pipe(response)
}

type Copy = (typeof encodings)[number]

async function encodedCopies({ encoded }: Site, file: SiteFile): Promise<Copy[]> {
  if (encoded === null) return []
  const found = await Promise.all(encodings.map(({ ending }) => stat(join(encoded, file.name + ending)).catch(() => null)))
  return encodings.filter((_encoding, i) => found[i]?.isFile())
}

/** The compressed copy that the client prefers; null for the file itself. */
function chooseCopy(request: IncomingMessage, copies: Copy[]): Copy | null {
  const accepted = new Map<string, number>()
  for (const part of String(request.headers['accept-encoding'] ?? '').split(',')) {
    const [name = '', ...parameters] = part.split(';').map((word) => word.trim().toLowerCase())
    const quality = parameters.find((parameter) => parameter.startsWith('q='))
    if (name !== '') accepted.set(name, quality === undefined ? 1 : Number(quality.slice(2)) || 0)
  }
  const qualityOf = ({ name }: Copy) => accepted.get(name) ?? accepted.get('*') ?? 0
  const [best] = copies.filter((copy) => qualityOf(copy) > 0).toSorted((a, b) => qualityOf(b) - qualityOf(a))
  return best ?? null
}

/** After a switch, the same URL serves another release, so caches must revalidate. An asset whose name contains a hash of its content never changes. */
function cacheControl(name: string, status: 200 | 404): string {
  if (status === 404) return 'no-store'
  return isHashed(name) ? 'public, max-age=31536000, immutable' : 'public, max-age=0, must-revalidate'
}

const bundlerFolders = new Set(['assets', 'static', 'chunks', '_astro', '_nuxt', '_next', '_app', 'js', 'css', 'media', 'fonts', 'img'])

/**
 * Whether the name of a file contains a hash of its content: hexadecimal anywhere (`main.3f9a1c0b.js`), or base64 (`index-BkHrV5QK.js`)
 * in a folder that bundlers write to. Words and dates do not count, and pages never have one.
 */
export function isHashed(name: string): boolean {
  const folders = name.split('/')
  const file = folders.pop() ?? ''
  if (/^\.html?$/i.test(extname(file))) return false
  const parts = file.split('.').slice(0, -1)
  if (folders.includes('immutable')) return true
  const inBundle = folders.some((folder) => bundlerFolders.has(folder.toLowerCase()))
  return parts.some((part) => isHexHash(part.slice(part.search(/[^-_]*$/))) || (inBundle && isBase64Hash(part)))
}

function isHexHash(word: string): boolean {
  return /^[0-9a-f]{8,64}$/.test(word) && /\d/.test(word) && /[a-f]/.test(word)
}

/** As Rollup and esbuild write it: eight mixed characters, alone or after a `-`, that are not a word with a number. */
function isBase64Hash(part: string): boolean {
  const word = /(?:^|[-.])([A-Za-z0-9_-]{8})$/.exec(part)?.[1] ?? ''
  return /[A-Z]/.test(word) && /[a-z0-9]/.test(word) && !/^([A-Z]?[a-z]+)*[-_]?\d*$/.test(word) && !/^[A-Z]+[-_]?\d+$/.test(word)
}

function codeOf(status: number | undefined): AnswerCode {
  if (status === 404) return 'not_found'
  if (status === 412) return 'precondition_failed'
  if (status === 416) return 'range_not_satisfiable'
  return 'internal'
}
