/** Bodies and query strings must be UTF-8; decoding them as anything else would store the wrong characters. */
import { errors } from './errors.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Decodes a body and removes a byte order mark. Throws `invalid_input` if it is not valid UTF-8. */
export function utf8Text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw errors.invalid_input({ text: 'The body is not valid UTF-8.', cause })
  }
}

/** Whether a Content-Type has the charset UTF-8 or none. */
export function isUtf8Type(contentType = ''): boolean {
  if (!contentType.includes(';')) return true
  const charsets = [...contentType.matchAll(/;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;]*))/gi)].map(([, quoted, plain]) => quoted ?? plain!)
  return charsets.every((charset) => /^utf-?8$/i.test(charset))
}

/** Throws `invalid_input` if the query string of the URL is not percent-encoded UTF-8. */
export function demandUtf8Query(url: string): void {
  const at = url.indexOf('?')
  if (at < 0) return
  const query = url.slice(at + 1)
  try {
    if (isAscii(query) && decodeURIComponent(query) !== null) return
  } catch {}
  throw errors.invalid_input({ text: 'The query string must be percent-encoded UTF-8.' })
}

/** The HTTP parser decodes each raw byte as Latin-1. */
const isAscii = (text: string): boolean => !/[^\0-\x7f]/.test(text)
