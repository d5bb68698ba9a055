/**
 * Limits the number of values in a JSON text, which every door checks before it parses one. The cost of parsing depends on their number:
 * two megabytes of nested brackets take a hundred times as long as a string of that size.
 */
import { type DomainError, errors } from './errors.ts'

/** The largest input, 500 variables at once, has about 2,500 values. */
export const maxJsonValues = 10_000

/** Whether a JSON text has at most `maxJsonValues` values. Text that isn't valid JSON is measured too: it costs no more to parse. */
export function isModestJson(bytes: Uint8Array): boolean {
  if (bytes.length <= maxJsonValues) return true
  let values = 1
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) {
      at = endOfString(bytes, at)
      if (at < 0) return true
    } else if ((byte === comma || byte === bracket || byte === brace) && ++values > maxJsonValues) return false
  }
  return true
}

export const tooManyValues = (): DomainError =>
  errors.payload_too_large({
    text: `A JSON body must not contain more than ${maxJsonValues} values.`,
    details: { limit: 'jsonValues', maximum: maxJsonValues },
  })

const [quote, backslash, comma, bracket, brace] = Buffer.from('"\\,[{') as unknown as [number, number, number, number, number]

/** The position of the quote that closes the string opened at `start`, or -1. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(quote, start + 1); end >= 0; end = bytes.indexOf(quote, end + 1)) {
    let escapes = 0
    while (bytes[end - 1 - escapes] === backslash) escapes++
    if (escapes % 2 === 0) return end
  }
  return -1
}
