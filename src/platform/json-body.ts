/**
 * Limits the number of values in a JSON text and their depth, which every door checks before it parses one. The cost of parsing depends on
 * their number: two megabytes of nested brackets take a hundred times as long as a string of that size. What is done with values recurses.
 */
import { type DomainError, errors } from './errors.ts'

/** The largest input, 500 variables at once, has about 2,500 values. */
export const maxJsonValues = 10_000
export const maxJsonDepth = 100

/**
 * Which limit a JSON text exceeds, or null. An empty list counts as one that has a value. Text that isn't valid JSON is measured too: it costs
 * no more to parse.
 */
export function excessOf(bytes: Uint8Array, maxValues: number, maxDepth: number): 'values' | 'depth' | null {
  if (bytes.length <= Math.min(maxValues, maxDepth)) return null
  let values = 1
  let depth = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) {
      at = endOfString(bytes, at)
      if (at < 0) return null
    } else if (byte === comma) {
      if (++values > maxValues) return 'values'
    } else if (byte === bracket || byte === brace) {
      if (++depth > maxDepth) return 'depth'
      if (++values > maxValues) return 'values'
    } else if (byte === bracketEnd || byte === braceEnd) depth--
  }
  return null
}

/** The refusal of a JSON body, with its status in HTTP; null if it may be parsed. */
export function refusalOfJson(bytes: Uint8Array, maxValues = maxJsonValues): (DomainError & { statusCode: number }) | null {
  const excess = excessOf(bytes, maxValues, maxJsonDepth)
  return excess && refusals[excess](maxValues)
}

const refusals = {
  values: (maximum: number) =>
    Object.assign(
      errors.payload_too_large({
        text: `A JSON body must not contain more than ${maximum} values.`,
        details: { limit: 'jsonValues', maximum },
      }),
      { statusCode: 413 },
    ),
  depth: () =>
    Object.assign(
      errors.invalid_input({
        text: `A JSON body must not be nested more than ${maxJsonDepth} levels deep.`,
        details: { limit: 'jsonDepth', maximum: maxJsonDepth },
      }),
      { statusCode: 400 },
    ),
}

const [quote, backslash, comma, bracket, brace, bracketEnd, braceEnd] = Buffer.from('"\\,[{]}') as unknown as Signs
type Signs = [number, number, number, number, number, number, number]

/** The position of the quote that closes the string opened at `start`, or -1. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(quote, start + 1); end >= 0; end = bytes.indexOf(quote, end + 1)) {
    let escapes = 0
    while (bytes[end - 1 - escapes] === backslash) escapes++
    if (escapes % 2 === 0) return end
  }
  return -1
}
