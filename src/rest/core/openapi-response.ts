/** The responses of a dialect's rows in its OpenAPI document, with their headers. */
import type { Dialect } from './dialect.ts'
import type { Route } from './route.ts'

type Json = Record<string, unknown>

/** The responses of a row by status. Throws for a response schema that has no name. */
export function responsesOf(dialect: Dialect, route: Route): Json {
  const headers = references(['X-Request-Id', ...(route.isVersioned ? ['ETag'] : []), ...limitHeaders(dialect), ...keyHeaders(dialect)])
  const statuses = [route.status, route.otherStatus].filter((status) => status !== null)
  return {
    ...Object.fromEntries(statuses.map((status) => [status, { ...success(dialect, route), headers }])),
    ...(isCacheable(route) ? { 304: { description: 'The response would be the same as the earlier one.', headers } } : {}),
    ...Object.fromEntries(
      failuresOf(dialect)
        .filter(({ applies }) => applies(route))
        .map(({ name, status }) => [status, { $ref: `#/components/responses/${name}` }]),
    ),
  }
}

/** Whether a client that has the object already can be answered without a body. */
export const isCacheable = ({ method, isVersioned }: Route): boolean => method === 'GET' && isVersioned

function success(dialect: Dialect, route: Route): Json {
  if (!route.schema) return { description: 'No content.' }
  const found = dialect.schemas.find(({ schema }) => schema === route.schema)
  if (!found) throw new Error(`${route.method} ${route.path} answers with a schema that has no name`)
  return { description: found.schema.description ?? found.id, content: jsonOf(found.id) }
}

type FailureResponse = { name: string; status: number; text: string; headers?: string[]; applies: (route: Route) => boolean }

/** The errors that rows can return: all rows those of the credential and of a malformed query string, others depending on their input. */
function failuresOf({ status, brokenRulesAreUnprocessable }: Dialect): FailureResponse[] {
  const always = () => true
  const takesBody = ({ writes, runs }: Route) => writes || runs === 'visit'
  const hasRules = ({ page, query }: Route) => Boolean(brokenRulesAreUnprocessable && (page || query))
  return [
    { name: 'Invalid', status: status.invalid, text: 'The request is not valid.', applies: always },
    {
      ...{ name: 'Unauthenticated', status: status.unauthenticated, applies: always },
      ...{ text: 'The credential is missing or not valid.', headers: ['WWW-Authenticate'] },
    },
    { name: 'Forbidden', status: status.forbidden, text: 'The credential does not have the required permission.', applies: always },
    {
      ...{ name: 'NotFound', status: status.not_found, applies: ({ runs }) => runs !== 'visit' },
      text: 'The object does not exist or is not visible to the caller, or the organization in `X-Org-Slug` is not one of the caller.',
    },
    {
      ...{ name: 'Conflict', status: status.conflict, applies: ({ runs }) => runs !== 'query' },
      text: 'The request conflicts with the current state of the object.',
    },
    { name: 'TooLarge', status: 413, text: 'The request body is too large.', applies: takesBody },
    { name: 'UnsupportedMediaType', status: 415, text: 'The request body is not JSON.', applies: takesBody },
    {
      ...{ name: 'Unprocessable', status: status.unprocessable },
      text: brokenRulesAreUnprocessable
        ? 'A value is not allowed, or the request cannot be processed.'
        : 'The request cannot be processed.',
      applies: (route) => status.unprocessable !== status.invalid && (takesBody(route) || hasRules(route)),
    },
    {
      ...{ name: 'RateLimited', status: status.rate_limited, applies: always },
      ...{ text: 'Too many requests, or a limit is reached. See `Retry-After`.', headers: ['Retry-After'] },
    },
    {
      ...{ name: 'Unavailable', status: status.unavailable, applies: ({ asksOutside, runs }) => asksOutside === true || runs === 'visit' },
      text: 'A system that the request depends on does not answer. Retry later.',
    },
    {
      ...{ name: 'BadGateway', status: status.upstream, applies: ({ relays }) => relays === true },
      text: 'The other server cannot be reached, or does not answer as expected.',
    },
    {
      ...{ name: 'GatewayTimeout', status: status.timeout, applies: ({ relays }) => relays === true },
      text: 'The other server did not answer in time.',
    },
  ]
}

/** The named responses of the document: those of errors. */
export const responseComponents = (dialect: Dialect): Json =>
  Object.fromEntries(
    failuresOf(dialect)
      .filter(({ applies }) => dialect.routes.some(applies))
      .map(({ name, text, headers = [] }) => [
        name,
        {
          description: text,
          headers: references(['X-Request-Id', ...headers, ...keyHeaders(dialect)]),
          content: jsonOf(dialect.errorSchema.id),
        },
      ]),
  )

/** The named headers of the document. */
export function headerComponents(dialect: Dialect): Json {
  const used = new Set(['X-Request-Id', 'WWW-Authenticate', 'Retry-After', ...limitHeaders(dialect), ...keyHeaders(dialect)])
  if (dialect.routes.some(({ isVersioned }) => isVersioned)) used.add('ETag')
  const named = { ...headers, ...Object.fromEntries(keyHeaders(dialect).map((name) => [name, keyHeader])) }
  return Object.fromEntries(Object.entries(named).filter(([name]) => used.has(name)))
}

const limitHeaders = ({ legacyRateLimitHeaders }: Dialect): string[] => [
  ...['RateLimit', 'RateLimit-Policy'],
  ...(legacyRateLimitHeaders ? ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Window'] : []),
]

const keyHeaders = ({ keyIdHeader }: Dialect): string[] => (keyIdHeader === undefined ? [] : [keyIdHeader])

type Header = { description: string; required: boolean; schema: Json }

const text = (description: string, required = false): Header => ({ description, required, schema: { type: 'string' } })
const count = (description: string, required = false): Header => ({ description, required, schema: { type: 'integer', minimum: 0 } })

const keyHeader = text('ID of the API key of the request.')

const headers: Record<string, Header> = {
  'X-Request-Id': text('ID of the request. A short one that the client sends is kept. The log of the server contains it.', true),
  ETag: text('Tag of this state of the object, for `If-Match` and `If-None-Match`.', true),
  RateLimit: text('Requests that are left in the current window: `r` requests, for `t` seconds.'),
  'RateLimit-Policy': text('Requests per window: `q` requests in `w` seconds.'),
  'X-RateLimit-Limit': count('Requests per window.'),
  'X-RateLimit-Remaining': count('Requests that are left in the current window.'),
  'X-RateLimit-Window': count('Length of the window in seconds.'),
  'Retry-After': count('Seconds after which to retry.', true),
  'WWW-Authenticate': text('Always `Bearer`.', true),
}

const references = (names: readonly string[]): Json =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))

const jsonOf = (id: string): Json => ({ 'application/json': { schema: { $ref: `#/components/schemas/${id}` } } })
