/** Answers as JSON. A large one is written in portions, between which others have their turn. */
import type { Pace } from '../platform/pace.ts'

/** Values of an array that are written at one stretch, where none of them holds further arrays. */
const valuesAtOnce = 50

/** The same text as `JSON.stringify`, for what JSON can hold. */
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
/** Whether something is more than a flat object of texts and numbers. */
const holdsObjects = (value: unknown): value is object =>
  isObject(value) && !('toJSON' in value) && (Array.isArray(value) || Object.values(value).some(isObject))
