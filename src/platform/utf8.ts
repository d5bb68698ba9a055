/** What comes as bytes is UTF-8 or refused: another reading would store other characters than were meant. */
import { errors } from './errors.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

/** The text of a body, without a byte order mark. Throws `invalid_input` for bytes that are no UTF-8. */
export function utf8Text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw errors.invalid_input({ text: 'The body is not valid UTF-8.', cause })
  }
}

/** Whether a Content-Type names no charset but UTF-8. */
export function isUtf8Type(contentType: string | undefined): boolean {
  const charsets = [...(contentType ?? '').matchAll(/;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;]*))/gi)].map(
    ([, quoted, plain]) => quoted ?? plain!,
  )
  return charsets.every((charset) => /^utf-?8$/i.test(charset))
}

/** Throws `invalid_input` for a URL whose query string is not percent-encoded UTF-8. */
export function demandUtf8Query(url: string): void {
  const query = url.slice(url.indexOf('?') + 1)
  try {
    if (!url.includes('?') || (isAscii(query) && decodeURIComponent(query) !== null)) return
  } catch {}
  throw errors.invalid_input({ text: 'The query string must be percent-encoded UTF-8.' })
}

/** The HTTP parser gives a raw byte as the character of that number. */
const isAscii = (text: string): boolean => !/[^\0-\x7f]/.test(text)
