/**
 * A row of a dialect's route table: which request it answers, which command or query of the domain does the work, and how one's
 * words become the other's. A row decides nothing: no condition, no database, no permission.
 */
import type { z } from 'zod'
import type { Caller } from '../../platform/access.ts'
import { ask, type Command, execute, type Query, type Request, type Target } from '../../platform/command.ts'
import { errors } from '../../platform/errors.ts'
import type { App } from '../../platform/work.ts'

export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

/** How one value of a request reaches the input of a command or query. */
export type Source = {
  /** Its name in the input. */
  to: string
  /** Its form -> ours. A value that it can't read goes on as it is, and the domain refuses it. */
  read?: (value: unknown) => unknown
  /** Our words -> the dialect's: those are taken and told, ours are neither. */
  words?: Words
  /** Used when the request leaves it out. */
  fallback?: unknown
  /** A list of objects: how the fields of each reach the input. */
  items?: Sources
  /** What the document says; absent: what the domain's own schema says of `to`. */
  schema?: z.ZodType
  description?: string
}

export type Words = Readonly<Record<string, string>>

/** The dialect's name of a value -> where it goes; a bare text is `to`. What isn't named here is ignored. */
export type Sources = Record<string, string | Source>

/** What a reply may look at beside the result. */
export type View = {
  app: App
  caller: Caller
  ask<Input, Result>(query: Query<Input, Result>, input: Record<string, unknown>): Promise<Result>
}

type Shape = {
  /** Names the operation in the document; clients are generated from it, so it stays. */
  id: string
  method: Method
  /** Below the dialect's prefix, parameters in braces: `/projects/{project_id}`. */
  path: string
  /** Further paths of the same row. */
  aliases?: readonly string[]
  tag: string
  summary: string
  description?: string
  params?: Sources
  query?: Sources
  body?: Sources
  /** A list by pages, as the dialect writes them; the size of a page when none is asked for, null for everything. */
  page?: { size: number | null }
  /** Our words -> the dialect's, where a refusal may hold some that no field of the row takes. */
  words?: Words
  /** Shows what is kept secret to those who may see it, so it has a limit of its own. */
  reveals?: true
}

/** A second look at the path: what this doesn't find is `not_found`, such as a deployment that is not of the service before it. */
export type Within = { query: Query<unknown, unknown>; params: Sources }

type Answer<Result, Body> =
  | { status: 204 }
  | {
      status: 200 | 201 | 202
      schema: z.ZodType<Body>
      reply: (result: Result, view: View) => Body | Promise<Body>
      /** Of the one thing that is answered, for `ETag` and `If-Match`. */
      version?: (result: Result) => number
    }

export type Answered = { body: unknown; version: number | null }

export type Route = Shape & {
  /** The command's or query's own name. */
  name: string
  status: 200 | 201 | 202 | 204
  schema: z.ZodType | null
  runs: 'command' | 'query'
  /** It changes what is asked about, and takes `Idempotency-Key` and `If-Match`. A command behind GET, which shows something, does not. */
  writes: boolean
  /** The schema of the whole input, for the document. */
  input: z.ZodType
  within: Within | null
  /** The path or the body names something that may not be there. */
  mayMiss: boolean
  /** `place` is the input of `within`. */
  run(request: Request, input: Record<string, unknown>, place: Record<string, unknown>): Promise<Answered>
}

/** A row that changes something, or leaves a trace of what it shows. */
export function commandRow<Input, Row extends Target | null, Result extends object, Body, Place = never>(
  row: Shape & { command: Command<Input, Row, Result>; within?: { query: Query<Place, unknown>; params: Sources } } & Answer<Result, Body>,
): Route {
  const { command, ...shape } = row
  const within = (row.within as Within | undefined) ?? null
  return {
    ...shape,
    name: command.name,
    schema: shape.status === 204 ? null : shape.schema,
    runs: 'command',
    writes: shape.method !== 'GET',
    input: command.input,
    within,
    mayMiss: Object.keys(command.ids).length > 0,
    async run(request, input, place) {
      if (within) await found(request, within.query, place)
      return answer(row, request, await execute(request, command, input))
    },
  }
}

/** A row that reads. A query that finds nothing answers `not_found`. */
export function queryRow<Input, Result, Body>(row: Shape & { read: Query<Input, Result> } & Answer<NonNullable<Result>, Body>): Route {
  const { read: query, ...shape } = row
  return {
    ...shape,
    name: query.name,
    schema: shape.status === 204 ? null : shape.schema,
    runs: 'query',
    writes: false,
    input: query.input,
    within: null,
    mayMiss: shape.params !== undefined,
    run: async (request, input) => answer(row, request, await found(request, query, input)),
  }
}

async function found<Input, Result>(
  request: Request,
  query: Query<Input, Result>,
  input: Record<string, unknown>,
): Promise<NonNullable<Result>> {
  const result = await ask(request, query, input)
  if (result === null || result === undefined) throw errors.not_found()
  return result
}

async function answer<Result, Body>(row: Answer<Result, Body>, request: Request, result: Result): Promise<Answered> {
  if (row.status === 204) return { body: null, version: null }
  const view: View = { ...request, ask: (query, input) => ask(request, query, input) }
  return { body: await row.reply(result, view), version: row.version?.(result) ?? null }
}

export const sourceOf = (source: string | Source): Source => (typeof source === 'string' ? { to: source } : source)

/** All paths of a row below the prefix. */
export const pathsOf = (route: Route): string[] => [route.path, ...(route.aliases ?? [])]

/** Every URL of some paths for the server, below each prefix. */
export const urlsOf = (prefixes: readonly string[], paths: readonly string[]): string[] =>
  prefixes.flatMap((prefix) => paths.map((path) => prefix + path.replaceAll(/\{(\w+)\}/g, ':$1')))

/** Digits of a query string as a number; anything else goes on and is refused. */
export const wholeNumber = (value: unknown): unknown => (typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value)

/** `true` or `false` of a query string; anything else goes on and is refused. */
export const trueOrFalse = (value: unknown): unknown => (value === 'true' ? true : value === 'false' ? false : value)
