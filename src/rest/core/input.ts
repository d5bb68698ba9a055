/** Turns a request's parameters, query and body into the input of a command or query. Renames and converts; the domain validates. */
import type { IncomingHttpHeaders } from 'node:http'
import { errors } from '../../platform/errors.ts'
import { absent } from '../../platform/wording.ts'
import type { Dialect } from './dialect.ts'
import { versionsOf } from './etag.ts'
import { type Route, type Source, type Sources, sourceOf, type Words } from './route.ts'

export type Parts = { params: unknown; query: unknown; body: unknown; headers: IncomingHttpHeaders }

export type InputReader = {
  read(parts: Parts): Record<string, unknown>
  /** The input of the row's `within`. */
  place(parts: Parts): Record<string, unknown>
}

type Entry = Omit<Source, 'items'> & { name: string; items: Entry[] | null }

/** Throws `invalid_input` if the body is not an object or If-Match contains no ETags. */
export function inputReader(dialect: Dialect, route: Route): InputReader {
  const params = entriesOf(route.params)
  const query = entriesOf({ ...(route.page ? dialect.page(route.page.size) : {}), ...route.query })
  const body = entriesOf(route.body)
  const headers = entriesOf(route.headerFields)
  const within = entriesOf(route.within?.params)
  return {
    read(parts) {
      const input: Record<string, unknown> = {}
      if (body.length > 0) readFields(input, body, bodyOf(parts.body))
      readFields(input, query, parts.query as Record<string, unknown>)
      readFields(input, headers, parts.headers)
      readFields(input, params, parts.params as Record<string, unknown>)
      return { ...input, ...route.fixed, ...(route.writes ? conditions(dialect, parts.headers) : {}) }
    },
    place(parts) {
      const input: Record<string, unknown> = {}
      readFields(input, within, parts.params as Record<string, unknown>)
      return input
    },
  }
}

const entriesOf = (sources: Sources = {}): Entry[] =>
  Object.entries(sources).map(([name, source]) => {
    const { items, ...rest } = sourceOf(source)
    return { name, ...rest, items: items ? entriesOf(items) : null }
  })

function readFields(input: Record<string, unknown>, entries: readonly Entry[], from: Record<string, unknown>): void {
  for (const { name, to, read, words, fallback, items, required } of entries) {
    const given = Object.hasOwn(from, name) ? from[name] : undefined
    const value = given ?? fallback ?? given
    if (required && isVoid(value)) input[to] = absent
    else if (value === undefined) continue
    else if (items) input[to] = readItems(value, items)
    // Of two names for one field, a null says nothing beside a value.
    else if (value === null) input[to] ??= null
    else input[to] = words ? domainWord(words, value) : read ? read(value) : value
  }
}

const isVoid = (value: unknown): boolean => value === undefined || value === null || (Array.isArray(value) && value.length === 0)

/** A text that is not one of the dialect's words becomes an empty text, which the domain rejects. */
const domainWord = (words: Words, value: unknown): unknown =>
  typeof value === 'string' ? (Object.entries(words).find(([, word]) => word === value)?.[0] ?? '') : value

/** A value that is not a list, and an item that is not an object, are passed on unchanged, and the domain rejects them. */
function readItems(list: unknown, entries: readonly Entry[]): unknown {
  if (!Array.isArray(list)) return list
  return list.map((item: unknown) => {
    if (!isObject(item)) return item
    const fields: Record<string, unknown> = {}
    readFields(fields, entries, item)
    return fields
  })
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function bodyOf(body: unknown): Record<string, unknown> {
  if (body === undefined || body === null) return {}
  if (!isObject(body)) throw errors.invalid_input({ text: 'The body must be a JSON object.' })
  return body
}

function conditions(dialect: Dialect, headers: IncomingHttpHeaders): { idempotencyKey?: string; ifVersion?: number[] } {
  const idempotencyKey = dialect.idempotencyHeaders.map((name) => headers[name]).find((value) => typeof value === 'string')
  if (idempotencyKey === '') throw errors.invalid_input({ field: 'idempotencyKey', text: 'idempotencyKey: must not be empty' })
  const ifVersion = versionsOf(headers['if-match'])
  return {
    ...(typeof idempotencyKey === 'string' ? { idempotencyKey } : {}),
    ...(ifVersion === null ? {} : { ifVersion }),
  }
}
