/**
 * A row of a dialect's route table: the request, the command or query of the domain that runs, and the mapping between the two. A row
 * contains no condition, no database access and no permission check.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { z } from 'zod'
import type { Caller } from '../../platform/access.ts'
import {
  ask,
  type Command,
  demandOrganization,
  execute,
  parseInput,
  type Query,
  type Request,
  type Target,
} from '../../platform/command.ts'
import type { Authenticated } from '../../platform/credential.ts'
import { DomainError, errors } from '../../platform/errors.ts'
import type { App } from '../../platform/work.ts'

export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

/** How one value of a request becomes a field of the input of a command or query. */
export type Source = {
  /** Name of the field in the input. */
  to: string
  /** Converts the value. Returns a value that it cannot convert unchanged, and the domain rejects it. */
  read?: (value: unknown) => unknown
  /** The domain's words -> the dialect's words. Only the dialect's words are accepted and returned. */
  words?: Words
  /** Used when the request omits the value. */
  fallback?: unknown
  /** The contract requires a value where the domain does not: an absent one, null or an empty list is refused as missing. */
  required?: true
  /** For a list of objects: the sources of the fields of each item. */
  items?: Sources
  /** Schema in the document. Defaults to the domain's own schema of `to`. */
  schema?: z.ZodType
  description?: string
}

export type Words = Readonly<Record<string, string>>

/** The dialect's name of a value -> its source; a string is short for `to`. Values that are not listed are ignored. */
export type Sources = Record<string, string | Source>

/** What a reply may use in addition to the result. */
export type View = {
  app: App
  caller: Caller
  ask<Input, Result>(query: Query<Input, Result>, input: Record<string, unknown>): Promise<Result>
}

type Shape = {
  /** `operationId` in the document. Must not change, because clients are generated from it. */
  id: string
  method: Method
  /** Path below the dialect's prefix, with parameters in braces: `/projects/{project_id}`. */
  path: string
  /** Further paths of the same row. */
  aliases?: readonly string[]
  /** Paths of the row that clients should stop using. */
  deprecated?: Deprecation
  tag: string
  summary: string
  description?: string
  params?: Sources
  query?: Sources
  body?: Sources
  /** By the name of the header in lower case. */
  headerFields?: Sources
  /** Values of the input that are the same for all requests. */
  fixed?: Readonly<Record<string, unknown>>
  /** For a list: the default page size. Null means the whole list. */
  page?: { size: number | null }
  /** The domain's words -> the dialect's words, for errors with words that no field of the row accepts. */
  words?: Words
  /** The row is about the organization as a whole: what a caller that is limited to certain projects cannot do. */
  ofOrganization?: string
  /** The row reveals secret values. */
  reveals?: true
  /** The command asks a system outside, such as the DNS, and fails with `unavailable` if that does not answer. */
  asksOutside?: true
  /** The command calls another server for the caller, and fails with `upstream` or `timeout` if that one does. */
  relays?: true
  /** A credential that this row accepts in addition to those of the dialect. */
  credential?: RowCredential
  /** The row is for people who are signed in. API keys are refused with `forbidden`. */
  people?: true
  /** The row is about an account or the installation, so the request need not name an organization. */
  withoutOrganization?: true
  /**
   * The row also accepts the cookie of a login from programs, which send no trace of a page. From a browser, it must come from a page of this
   * server, as everywhere.
   */
  cookieOfPrograms?: true
  /** Time that the row may take. Default: that of every request, REQUEST_TIMEOUT_MS. */
  timeoutMs?: (settings: App['settings']) => number
  /** Maximum size of the body in bytes. Default: that of the server. */
  maxBodyBytes?: number
  /** Maximum number of values in the body. Default: that of every door. */
  maxJsonValues?: number
}

/** Announced by the headers `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) of every response, and in the document. */
export type Deprecation = {
  /** Some paths of the row, or all of them. */
  paths: readonly string[]
  since: Date
  /** The paths work at least until then. */
  sunset: Date
}

/** A credential that only some rows accept. */
export type RowCredential = {
  /** Name in the document. */
  name: string
  /** Header that it is sent in. */
  header: string
  description: string
  authenticate(app: App, headers: IncomingHttpHeaders): Authenticated
}

/** A query that must find something, else the row fails with `not_found`, such as a deployment of another service than the path names. */
export type Within = { query: Query<unknown, unknown>; params: Sources }

type Answer<Result, Body> =
  | { status: 204 }
  | {
      status: 200 | 201 | 202
      schema: z.ZodType<Body>
      reply: (result: Result, view: View) => Body | Promise<Body>
      /** Version of the returned object, for `ETag`, `If-Match` and `If-None-Match`. */
      version?: (result: Result) => number
      /** Another status, for some results. */
      otherwise?: { status: 200; when: (result: Result) => boolean }
    }

export type Answered = { status: number; body: unknown; version: number | null; headers?: AnswerHeaders }

export type AnswerHeaders = Record<string, string | string[]>

/** A request for a row. `caller` is null for a row that is open to everyone. */
export type Visit = Omit<Request, 'caller'> & { caller: Caller | null; raw: IncomingMessage }

export type Route = Shape & {
  /** Name of the command or query. */
  name: string
  status: 200 | 201 | 202 | 204
  /** Another status of some results. */
  otherStatus: number | null
  schema: z.ZodType | null
  /** `visit`: what needs no caller, such as a login. */
  runs: 'command' | 'query' | 'visit'
  /** Whether the row changes something and accepts `Idempotency-Key` and `If-Match`. False for a command behind GET, such as a reveal. */
  writes: boolean
  /** Schema of the whole input, for the document. */
  input: z.ZodType
  within: Within | null
  /** Whether the path or the body identifies an object that may not exist. */
  mayMiss: boolean
  /** Whether responses have an `ETag`. */
  isVersioned: boolean
  /** `place` is the input of the query in `within`. */
  run(visit: Visit, input: Record<string, unknown>, place: Record<string, unknown>): Promise<Answered>
}

/** A row that runs a command: it changes something or audits what it reveals. */
export function commandRow<Input, Row extends Target | null, Result extends object, Body, Place = never>(
  row: Shape & { command: Command<Input, Row, Result>; within?: { query: Query<Place, unknown>; params: Sources } } & Answer<Result, Body>,
): Route {
  const { command, ...shape } = row
  const within = (row.within as Within | undefined) ?? null
  return {
    ...shape,
    name: command.name,
    schema: shape.status === 204 ? null : shape.schema,
    otherStatus: shape.status === 204 ? null : (shape.otherwise?.status ?? null),
    runs: 'command',
    writes: shape.method !== 'GET',
    input: command.input,
    within,
    mayMiss: Object.keys(command.ids).length > 0,
    isVersioned: isVersioned(row),
    async run(visit, input, place) {
      const request = requestOf(visit, row)
      // Without the permission, the command refuses, and whether the place exists is not told.
      const mayRun = command.permission === null || request.caller.permissions.has(command.permission)
      if (within && mayRun) await found(request, within.query, place)
      return answer(row, request, await execute(request, command, input), askAfterwards)
    },
  }
}

/** A row that runs a query. Fails with `not_found` if the query returns null. */
export function queryRow<Input, Result, Body>(row: Shape & { read: Query<Input, Result> } & Answer<NonNullable<Result>, Body>): Route {
  const { read: query, ...shape } = row
  return {
    ...shape,
    name: query.name,
    schema: shape.status === 204 ? null : shape.schema,
    otherStatus: null,
    runs: 'query',
    writes: false,
    input: query.input,
    within: null,
    mayMiss: shape.params !== undefined,
    isVersioned: isVersioned(row),
    async run(visit, input) {
      const request = requestOf(visit, row)
      return answer(row, request, await found(request, query, input), ask)
    },
  }
}

/** A row that is open to everyone: what people do before they have a credential. It says itself who may do what. */
export function openRow<Input, Result, Body>(
  row: Shape & {
    name: string
    input: z.ZodType<Input>
    act(visit: Visit, input: Input): Promise<Result>
    headers?: (result: Result, visit: Visit) => AnswerHeaders
  } & { status: 200 | 201; schema: z.ZodType<Body>; reply: (result: Result) => Body },
): Route {
  const { act, headers, reply, ...shape } = row
  return {
    ...shape,
    otherStatus: null,
    runs: 'visit',
    writes: false,
    within: null,
    mayMiss: false,
    isVersioned: false,
    async run(visit, input) {
      const result = await act(visit, parseInput(row.input, input))
      return { status: row.status, body: reply(result), version: null, ...(headers ? { headers: headers(result, visit) } : {}) }
    },
  }
}

const isVersioned = <Result, Body>(row: Answer<Result, Body>): boolean => row.status !== 204 && row.version !== undefined

function requestOf({ app, caller, requestId }: Visit, { ofOrganization }: Shape): Request {
  if (caller === null) throw errors.unauthenticated()
  if (ofOrganization !== undefined) demandOrganization(caller, ofOrganization)
  return { app, caller, requestId }
}

/**
 * A row for objects of two kinds: where `row` fails with `not_found`, `other` runs with the same input. Throws an Error unless both have the
 * same response.
 */
export function eitherRow(row: Route, other: Route): Route {
  if (row.schema !== other.schema || row.status !== other.status || row.isVersioned !== other.isVersioned)
    throw new Error(`${row.id} and ${other.id} have different responses`)
  return {
    ...row,
    async run(...request) {
      try {
        return await row.run(...request)
      } catch (error) {
        if (!(error instanceof DomainError) || error.kind !== 'not_found') throw error
        return other.run(...request)
      }
    },
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

async function answer<Result, Body>(row: Answer<Result, Body>, request: Request, result: Result, asked: typeof ask): Promise<Answered> {
  if (row.status === 204) return { status: 204, body: null, version: null }
  const view: View = { ...request, ask: (query, input) => asked(request, query, input) }
  const status = row.otherwise?.when(result) ? row.otherwise.status : row.status
  return { status, body: await row.reply(result, view), version: row.version?.(result) ?? null }
}

/** Asks for what the response to a carried out command shows, whatever the caller may view: a refusal would hide that it was carried out. */
const askAfterwards: typeof ask = (request, query, input) => {
  const { caller } = request
  if (!query.permission?.startsWith('view:')) return ask(request, query, input)
  return ask({ ...request, caller: { ...caller, permissions: new Set([...caller.permissions, query.permission]) } }, query, input)
}

export const sourceOf = (source: string | Source): Source => (typeof source === 'string' ? { to: source } : source)

/** All paths of a row, below the prefix. */
export const pathsOf = (route: Route): string[] => [route.path, ...(route.aliases ?? [])]

/** The deprecation of one path of a row. Null if clients may go on using it. Throws an Error if the row deprecates a path that it does not have. */
export function deprecationOf(route: Route, path: string): Deprecation | null {
  const stray = route.deprecated?.paths.find((each) => !pathsOf(route).includes(each))
  if (stray !== undefined) throw new Error(`${route.id} has no path ${stray}`)
  return route.deprecated?.paths.includes(path) ? route.deprecated : null
}

/** URLs of the paths below each prefix, in Fastify's notation. */
export const urlsOf = (prefixes: readonly string[], paths: readonly string[]): string[] =>
  prefixes.flatMap((prefix) => paths.map((path) => prefix + path.replaceAll(/\{(\w+)\}/g, ':$1')))

/** Converts digits of a query string to a number. Any other value is returned unchanged, and the domain rejects it. */
export const wholeNumber = (value: unknown): unknown => (typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value)

/** Converts `true` and `false` of a query string. Any other value is returned unchanged, and the domain rejects it. */
export const trueOrFalse = (value: unknown): unknown => (value === 'true' ? true : value === 'false' ? false : value)
