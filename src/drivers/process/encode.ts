/** Compressed copies of the files of a site, created at build time so that no request waits for compression. Blocks, so it runs in a thread. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { type TreeEntry, walk } from './tree.ts'

const compressible = new Set([
  ...['.html', '.htm', '.css', '.js', '.mjs', '.cjs', '.json', '.map', '.svg', '.xml', '.txt', '.md', '.csv', '.webmanifest', '.wasm'],
  ...['.ico', '.bmp', '.ttf', '.otf', '.eot', '.rss', '.atom', '.xhtml', '.yaml', '.yml', '.geojson', '.vtt', '.glb', '.gltf'],
])

/** Smaller files save less than the headers of a response; larger ones would take too much memory. */
const minBytes = 1_000
const maxBytes = 32 << 20
/** A copy that is not smaller than this share of the file is not kept. */
const worthwhile = 0.95

const reportEvery = 10_000

/** Returns the total size of the copies. */
export function encodeTree(tree: string, target: string, say: (text: string) => void): number {
  mkdirSync(target)
  const files = [...walk(tree)].filter(isWorthwhile)
  if (files.length === 0) return 0
  const quality = qualityFor(files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
  say(`Compressing ${files.length} files with gzip and brotli.`)
  let written = 0
  for (const [i, file] of files.entries()) {
    if (i > 0 && i % reportEvery === 0) say(`Compressed ${i} of ${files.length} files.`)
    const content = readFileSync(file.absolute)
    const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: content.length }
    written += keepSmaller(join(target, `${file.path}.br`), content, brotliCompressSync(content, { params }))
    written += keepSmaller(join(target, `${file.path}.gz`), content, gzipSync(content, { level: 9 }))
  }
  return written
}

function isWorthwhile({ type, path, sizeBytes }: TreeEntry): boolean {
  return type === 'file' && sizeBytes >= minBytes && sizeBytes <= maxBytes && compressible.has(extname(path).toLowerCase())
}

/** The best quality takes a second per megabyte, which is too slow for large sites. */
function qualityFor(bytes: number): number {
  if (bytes <= 16 << 20) return constants.BROTLI_MAX_QUALITY
  return bytes <= 128 << 20 ? 8 : 5
}

function keepSmaller(path: string, content: Buffer, encoded: Buffer): number {
  if (encoded.length > content.length * worthwhile) return 0
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, encoded)
  return encoded.length
}
