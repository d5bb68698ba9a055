/** Responses as JSON text. A large one is written in portions, so that other requests are served in between. */
import type { Pace } from '../platform/pace.ts'

/** The same text as `JSON.stringify`, for data that JSON can represent. A portion of 10,000 values takes about a millisecond. */
export async function writeInTurns(value: unknown, pace: Pace, valuesAtOnce = 10_000): Promise<string> {
  const parts: string[] = []
  for (const part of partsOf(value, valuesAtOnce)) {
    parts.push(part)
    const turn = pace.next()
    if (turn) await turn
  }
  return parts.join('')
}

function* partsOf(value: unknown, most: number): Generator<string> {
  if (sizeOf(value, most) < most) yield JSON.stringify(value)
  else if (Array.isArray(value)) yield* partsOfArray(value, most)
  else yield* partsOfObject(value as object, most)
}

function* partsOfArray(list: readonly unknown[], most: number): Generator<string> {
  let separator = '['
  for (let from = 0; from < list.length; ) {
    let to = from
    for (let size = 0; to < list.length && size < most; to++) size += sizeOf(list[to], most - size)
    yield separator
    if (to - from === 1) yield* partsOf(list[from] ?? null, most)
    else yield JSON.stringify(list.slice(from, to)).slice(1, -1)
    separator = ','
    from = to
  }
  yield separator === '[' ? '[]' : ']'
}

function* partsOfObject(value: object, most: number): Generator<string> {
  let separator = '{'
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue
    yield `${separator}${JSON.stringify(name)}:`
    yield* partsOf(item, most)
    separator = ','
  }
  yield separator === '{' ? '{}' : '}'
}

/** How many values there are in a value, itself included, counted up to `most`. */
function sizeOf(value: unknown, most: number): number {
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return 1
  let size = 1
  if (Array.isArray(value)) for (let at = 0; at < value.length && size < most; at++) size += sizeOf(value[at], most - size)
  else
    for (const name in value) {
      if (size >= most) break
      size += sizeOf(value[name as keyof typeof value], most - size)
    }
  return size
}
