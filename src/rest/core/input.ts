/** A request's parameters, query and body as the input of a command or query. Renames and reads; what is valid the domain says. */
import type { IncomingHttpHeaders } from 'node:http'
import { errors } from '../../platform/errors.ts'
import type { Dialect } from './dialect.ts'
import { type Route, type Source, type Sources, sourceOf, type Words } from './route.ts'
import { ifMatch } from './vocabulary.ts'

export type Parts = { params: unknown; query: unknown; body: unknown; headers: IncomingHttpHeaders }

export type InputReader = {
  read(parts: Parts): Record<string, unknown>
  /** The input of the row's `within`. */
  place(parts: Parts): Record<string, unknown>
}

type Entry = Omit<Source, 'items'> & { name: string; items: Entry[] | null }

/** Throws `invalid_input` for a body that is no object and for an If-Match that names no version. */
export function inputReader(dialect: Dialect, route: Route): InputReader {
  const params = entriesOf(route.params)
  const query = entriesOf({ ...(route.page ? dialect.page(route.page.size) : {}), ...route.query })
  const body = entriesOf(route.body)
  const within = entriesOf(route.within?.params)
  return {
    read(parts) {
      const input: Record<string, unknown> = {}
      if (body.length > 0) take(input, body, bodyOf(parts.body))
      take(input, query, parts.query as Record<string, unknown>)
      take(input, params, parts.params as Record<string, unknown>)
      return route.writes ? { ...input, ...conditions(dialect, parts.headers) } : input
    },
    place(parts) {
      const input: Record<string, unknown> = {}
      take(input, within, parts.params as Record<string, unknown>)
      return input
    },
  }
}

const entriesOf = (sources: Sources = {}): Entry[] =>
  Object.entries(sources).map(([name, source]) => {
    const { items, ...rest } = sourceOf(source)
    return { name, ...rest, items: items ? entriesOf(items) : null }
  })

function take(input: Record<string, unknown>, entries: readonly Entry[], from: Record<string, unknown>): void {
  for (const { name, to, read, words, fallback, items } of entries) {
    const given = Object.hasOwn(from, name) ? from[name] : undefined
    const value = given ?? fallback ?? given
    if (value === undefined) continue
    if (items) input[to] = takeEach(value, items)
    else if (value === null) input[to] = value
    else input[to] = words ? ourWord(words, value) : read ? read(value) : value
  }
}

/** A text that is none of the dialect's words becomes none of ours, and the domain refuses it. */
const ourWord = (words: Words, value: unknown): unknown =>
  typeof value === 'string' ? (Object.entries(words).find(([, word]) => word === value)?.[0] ?? '') : value

/** What is no list, or no object in it, goes on as it is, and the domain refuses it. */
function takeEach(list: unknown, entries: readonly Entry[]): unknown {
  if (!Array.isArray(list)) return list
  return list.map((item: unknown) => {
    if (!isObject(item)) return item
    const taken: Record<string, unknown> = {}
    take(taken, entries, item)
    return taken
  })
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function bodyOf(body: unknown): Record<string, unknown> {
  if (body === undefined || body === null) return {}
  if (!isObject(body)) throw errors.invalid_input({ text: 'The body must be a JSON object.' })
  return body
}

function conditions(dialect: Dialect, headers: IncomingHttpHeaders): { idempotencyKey?: string; ifVersion?: number } {
  const idempotencyKey = dialect.idempotencyHeaders.map((name) => headers[name]).find((value) => typeof value === 'string' && value !== '')
  return {
    ...(typeof idempotencyKey === 'string' ? { idempotencyKey } : {}),
    ...(headers['if-match'] === undefined || headers['if-match'] === '*' ? {} : { ifVersion: versionOf(headers['if-match']) }),
  }
}

/** `"3"` as in an ETag, or a bare 3. */
function versionOf(text: string): number {
  const version = /^(?:W\/)?"?(\d{1,9})"?$/.exec(text)?.[1]
  if (version === undefined) throw errors.invalid_input({ field: ifMatch, text: `${ifMatch}: must be the ETag of an earlier answer` })
  return Number(version)
}
