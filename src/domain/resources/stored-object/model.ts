/** Rules of objects that need no database. */
import { createHash } from 'node:crypto'
import { ObjectError } from './errors.ts'

/** Limits of the S3 API. */
export const maxKeyBytes = 1_024
export const maxObjectBytes = 5 * 1024 ** 4
/** Of one upload or part. */
export const maxUploadBytes = 5 * 1024 ** 3
export const minPartBytes = 5 * 1024 ** 2
export const maxParts = 10_000

/** Time after which the bytes of a replaced or deleted object are removed, so that clients that are reading them can finish. */
export const readersGraceMs = 10 * 60_000
/** Time after which an upload that has not ended counts as interrupted. Longer than any upload may take. */
export const uploadLeaseMs = 24 * 3_600_000
/** Time after which a multipart upload that was not completed is aborted. */
export const multipartExpiryMs = 7 * 24 * 3_600_000

export const purgeTopic = 'purge blobs'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const controlCharacters = /[\u0000-\u001f\u007f]/

/** Throws ObjectError. Any text is a valid key, `../` included: keys are no paths. Control characters can't be represented in XML. */
export function requireKey(key: string): void {
  if (key === '') throw new ObjectError('InvalidArgument', 'The key must not be empty.')
  if (Buffer.byteLength(key) > maxKeyBytes)
    throw new ObjectError('KeyTooLongError', `The key must not exceed ${maxKeyBytes} bytes in UTF-8.`)
  if (controlCharacters.test(key)) throw new ObjectError('InvalidArgument', 'The key must not contain control characters.')
  if (!key.isWellFormed()) throw new ObjectError('InvalidArgument', 'The key must be valid Unicode.')
}

/** The name of a blob in the store, with as much of the key as is harmless and fits. */
export function blobName(bucketName: string, key: string, id: string): string {
  const readable = key
    .split('/')
    .map((part) => part.replace(/[^\w!*().-]/g, '_').replace(/^\.+$/, '_') || '_')
    .join('/')
  return `${bucketName}/${readable.slice(0, maxKeyBytes - bucketName.length - id.length - 2)}/${id}`
}

/** The ETag of an object of parts. */
export function etagOfParts(etags: readonly string[]): string {
  const md5 = createHash('md5')
  for (const etag of etags) md5.update(Buffer.from(etag, 'hex'))
  return `${md5.digest('hex')}-${etags.length}`
}

/** The first text after all those that begin with `prefix`, in the order of their UTF-8 bytes. Null if there is none. */
export function afterPrefix(prefix: string): string | null {
  const points = [...prefix]
  while (points.length > 0) {
    const last = points.pop()!.codePointAt(0)!
    if (last === 0x10ffff) continue
    return points.join('') + String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1)
  }
  return null
}
