/** Serializes large answers as JSON in portions, yielding to other work in between. */
import type { Pace } from '../platform/pace.ts'

/** Number of array items that are serialized at once, if they contain no further objects. */
const valuesAtOnce = 50

/** Same result as `JSON.stringify`, for values that JSON can represent. */
export async function writeInTurns(value: unknown, pace: Pace): Promise<string> {
  const parts: string[] = []
  for (const part of partsOf(value)) {
    parts.push(part)
    await pace.next()
  }
  return parts.join('')
}

function* partsOf(value: unknown): Generator<string> {
  if (Array.isArray(value)) {
    let separator = '['
    for (let at = 0; at < value.length; at += valuesAtOnce) {
      const portion = value.slice(at, at + valuesAtOnce)
      if (portion.some(holdsObjects)) {
        for (const item of portion) {
          yield separator
          yield* partsOf(item ?? null)
          separator = ','
        }
      } else {
        yield separator + JSON.stringify(portion).slice(1, -1)
        separator = ','
      }
    }
    yield value.length === 0 ? '[]' : ']'
  } else if (holdsObjects(value)) {
    let separator = '{'
    for (const [name, item] of Object.entries(value)) {
      if (item === undefined) continue
      yield `${separator}${JSON.stringify(name)}:`
      yield* partsOf(item)
      separator = ','
    }
    yield separator === '{' ? '{}' : '}'
  } else yield JSON.stringify(value)
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
/** Whether a value contains further objects, rather than being a flat object of scalars. */
const holdsObjects = (value: unknown): value is object =>
  isObject(value) && !('toJSON' in value) && (Array.isArray(value) || Object.values(value).some(isObject))
