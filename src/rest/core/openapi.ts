/** Prints a dialect's OpenAPI 3.1 document from its route tables. The same tables always produce the same bytes. */
import { z } from 'zod'
import { accessCookie } from '../../platform/credential.ts'
import type { Dialect } from './dialect.ts'
import { type Deprecation, deprecationOf, pathsOf, type Route, type Source, type Sources, sourceOf } from './route.ts'
import { headerName, ifMatch, ifNoneMatch } from './vocabulary.ts'

/** A schema that has a name in the document. */
export type Named = { id: string; schema: z.ZodType }

type Json = Record<string, unknown>
type Property = { name: string; schema: Json; required: boolean; description: string | undefined }

/** Those that every row accepts that is not open to everyone. */
const credentialsOf = ({ keysOnly }: Dialect): Json[] => [{ bearer: [] }, { apiKey: [] }, ...(keysOnly ? [] : [{ cookie: [] }])]

/** Those of people who are signed in. The access token is a bearer token. */
const credentialsOfPeople: Json[] = [{ bearer: [] }, { cookie: [] }]

/** Throws for a row with a source whose field the command or query does not have, and for a response schema without a name. */
export function printDocument(dialect: Dialect): string {
  const [prefix] = dialect.prefixes
  const named = [...dialect.schemas, dialect.errorSchema]
  const paths: Record<string, Json> = {}
  for (const route of dialect.routes) {
    for (const [index, path] of pathsOf(route).entries()) {
      paths[prefix + path] = { ...paths[prefix + path], [route.method.toLowerCase()]: operation(dialect, route, path, index > 0) }
    }
  }
  const isOpen = dialect.routes.every(({ runs }) => runs === 'visit')
  const document = {
    openapi: '3.1.0',
    info: { title: dialect.title, version: '1.0.0', description: dialect.description, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '/', description: 'This server' }],
    ...(isOpen ? {} : { security: credentialsOf(dialect) }),
    tags: [...new Set(dialect.routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      ...(isOpen ? {} : { securitySchemes: securitySchemes(dialect) }),
      headers: usedHeaders(paths),
      schemas: componentSchemas(named),
    },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

const usedHeaders = (paths: Json): Json => {
  const text = JSON.stringify(paths)
  return Object.fromEntries(Object.entries(headers).filter(([name]) => text.includes(`"#/components/headers/${name}"`)))
}

const securitySchemes = ({ keyPrefix, keysOnly, routes }: Dialect): Json => ({
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description: `API key that begins with \`${keyPrefix}\`${keysOnly ? '' : ', or access token of a person'}.`,
  },
  apiKey: {
    type: 'apiKey',
    in: 'header',
    name: 'X-API-Key',
    description: 'API key. If the Authorization header is sent too, it takes precedence.',
  },
  ...(keysOnly
    ? {}
    : {
        cookie: {
          type: 'apiKey',
          in: 'cookie',
          name: accessCookie,
          description:
            'Access token that a login has set as a cookie. Requests that change something must come from a page of this server.',
        },
      }),
  ...Object.fromEntries(
    routes.flatMap(({ credential }) =>
      credential ? [[credential.name, { type: 'apiKey', in: 'header', name: credential.header, description: credential.description }]] : [],
    ),
  ),
})

function operation(dialect: Dialect, route: Route, path: string, isAlias: boolean): Json {
  const { summary, tag } = route
  const deprecation = deprecationOf(route, path)
  const description = [route.description, deprecation && deprecationText(deprecation)].filter(Boolean).join(' ')
  const body = propertiesOf(route, route.body)
  const parameters = [
    ...parameterNames(path).map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...propertiesOf(route, { ...(route.page ? dialect.page(route.page.size) : {}), ...route.query }).map((property) => parameter(property)),
    ...(route.writes ? conditionHeaders(dialect, route) : []),
    ...(isCacheable(route) ? [freshnessHeader] : []),
  ]
  return {
    operationId: isAlias ? `${route.id}By${capitalised(path.split('/').at(-1)!)}` : route.id,
    summary,
    ...(description ? { description } : {}),
    tags: [tag],
    ...(deprecation ? { deprecated: true } : {}),
    ...(route.people ? { security: credentialsOfPeople } : {}),
    ...(route.credential ? { security: [...credentialsOf(dialect), { [route.credential.name]: [] }] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body.length > 0 ? { requestBody: requestBody(body) } : {}),
    responses: { ...successes(dialect, route), ...failures(dialect, route) },
  }
}

const deprecationText = ({ since, sunset }: Deprecation) =>
  `Deprecated since ${dayOf(since)}: use another path of this operation. This path works at least until ${dayOf(sunset)}; the headers \`Deprecation\` and \`Sunset\` of its responses say so.`

const dayOf = (date: Date) => date.toISOString().slice(0, 10)

const capitalised = (word: string) => word[0]!.toUpperCase() + word.slice(1)

const parameterNames = (path: string) => [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!)

const parameter = ({ name, schema, required, description }: Property): Json => ({
  name,
  in: 'query',
  ...(description ? { description } : {}),
  required,
  schema,
})

const conditionHeaders = (dialect: Dialect, route: Route): Json[] => [
  ...dialect.idempotencyHeaders.map((name) => ({
    name: headerName(name),
    in: 'header',
    description: 'Repeating a request with the same idempotency key within 24 hours returns the first result without repeating the effect.',
    required: false,
    schema: { type: 'string', maxLength: 255 },
  })),
  ...(route.params
    ? [
        {
          name: ifMatch,
          in: 'header',
          description: 'ETag of an earlier response, or a list of them. The request fails with a conflict if the object has changed since.',
          required: false,
          schema: { type: 'string' },
        },
      ]
    : []),
]

/** Whether a client that has the object already can be answered without a body. */
const isCacheable = ({ method, isVersioned }: Route) => method === 'GET' && isVersioned

const freshnessHeader: Json = {
  name: ifNoneMatch,
  in: 'header',
  description: 'ETag of an earlier response, or a list of them. If the response would be the same, it has the status 304 and no body.',
  required: false,
  schema: { type: 'string' },
}

const requestBody = (properties: Property[]): Json => ({
  required: properties.some(({ required }) => required),
  content: json(objectOf(properties)),
})

const objectOf = (properties: Property[]): Json => {
  const required = properties.filter((property) => property.required).map(({ name }) => name)
  const described = properties.map(({ name, schema, description }) => [name, description ? { ...schema, description } : schema])
  return { type: 'object', properties: Object.fromEntries(described), ...(required.length > 0 ? { required } : {}) }
}

function successes(dialect: Dialect, route: Route): Json {
  const headers = { ...everyHeader, ...(route.isVersioned ? headersOf('ETag') : {}) }
  const statuses = [route.status, route.otherStatus].filter((status) => status !== null)
  return {
    ...Object.fromEntries(statuses.map((status) => [status, { ...success(dialect, route), headers }])),
    ...(isCacheable(route) ? { 304: { description: 'The response would be the same as the earlier one.', headers } } : {}),
  }
}

function success(dialect: Dialect, route: Route): Json {
  if (!route.schema) return { description: 'No content.' }
  const found = dialect.schemas.find(({ schema }) => schema === route.schema)
  if (!found) throw new Error(`${route.method} ${route.path} answers with a schema that has no name`)
  return { description: found.schema.description ?? found.id, content: json(reference(found.id)) }
}

/** Headers of responses. */
const headers = {
  'X-Request-Id': {
    description: 'ID of the request, by which the log of the server can be searched. A valid one that the client sends is kept.',
    required: true,
    schema: { type: 'string' },
  },
  ETag: {
    description: 'Tag of this state of the object, for `If-Match` and `If-None-Match`.',
    required: true,
    schema: { type: 'string' },
  },
  'Retry-After': { description: 'Seconds after which to retry.', required: true, schema: { type: 'integer', minimum: 0 } },
  'WWW-Authenticate': { description: 'Always `Bearer`.', required: true, schema: { type: 'string' } },
}

const headersOf = (...names: (keyof typeof headers)[]): Json =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))

const everyHeader = headersOf('X-Request-Id')

/** The errors that a row can return: for every row those of the credential and of a malformed query string, others depending on its input. */
function failures(dialect: Dialect, route: Route): Json {
  const texts: [number, string, boolean][] = [
    [dialect.status.invalid, 'The request is not valid.', true],
    [dialect.status.unauthenticated, 'The credential is missing or not valid.', true],
    [dialect.status.forbidden, 'The credential does not have the required permission.', true],
    [
      dialect.status.not_found,
      'The object does not exist or is not visible to the caller, or the organization in `X-Org-Slug` is not one of the caller.',
      route.runs !== 'visit',
    ],
    [dialect.status.conflict, 'The request conflicts with the current state of the object.', route.runs !== 'query'],
    [413, 'The request body is too large.', route.writes || route.runs === 'visit'],
    [415, 'The request body is not JSON.', route.writes || route.runs === 'visit'],
    [
      dialect.status.unprocessable,
      dialect.brokenRulesAreUnprocessable
        ? 'A value is not allowed, or the request cannot be processed.'
        : 'The request cannot be processed.',
      (route.writes || route.runs === 'visit' || Boolean(dialect.brokenRulesAreUnprocessable && (route.page || route.query))) &&
        dialect.status.unprocessable !== dialect.status.invalid,
    ],
    [dialect.status.rate_limited, 'Too many requests, or a limit is reached. See `Retry-After`.', true],
    [
      dialect.status.unavailable,
      'A system that the request depends on does not answer. Retry later.',
      route.asksOutside === true || route.runs === 'visit',
    ],
  ]
  const content = json(reference(dialect.errorSchema.id))
  const headersAt: Record<number, Json> = {
    [dialect.status.unauthenticated]: headersOf('WWW-Authenticate'),
    [dialect.status.rate_limited]: headersOf('Retry-After'),
  }
  const applying = texts.filter(([, , applies]) => applies)
  return Object.fromEntries(
    applying.map(([status, description]) => [status, { description, headers: { ...everyHeader, ...headersAt[status] }, content }]),
  )
}

function propertiesOf(route: Route, sources: Sources = {}, input = toJson(route.input, 'input')): Property[] {
  const known = (input.properties ?? {}) as Record<string, Json>
  const required = (input.required ?? []) as string[]
  return Object.entries(sources).map(([name, entry]) => {
    const source = sourceOf(entry)
    const field = source.schema ? toJson(source.schema, 'input') : known[source.to]
    if (!field) throw new Error(`${route.method} ${route.path}: ${route.name} has no field ${source.to}`)
    const { items } = source
    const schema = items ? withItems(field, (item) => objectOf(propertiesOf(route, items, item))) : field
    return {
      name,
      schema: withDefault(schema, source),
      required: required.includes(source.to) && source.fallback === undefined,
      description: source.description,
    }
  })
}

/** A list, which may be nullable, with other items. */
const withItems = (list: Json, change: (items: Json) => Json): Json =>
  list.items
    ? { ...list, items: change(list.items as Json) }
    : { ...list, anyOf: (list.anyOf as Json[]).map((option) => (option.items ? withItems(option, change) : option)) }

const withDefault = (schema: Json, { fallback }: Source): Json => (fallback === undefined ? schema : { ...schema, default: fallback })

const reference = (id: string): Json => ({ $ref: `#/components/schemas/${id}` })
const json = (schema: Json): Json => ({ 'application/json': { schema } })

/** Objects remain open, because fields may be added within a version. Bounds that only mean "safe integer" are omitted. */
const plain = ({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void => {
  delete jsonSchema.additionalProperties
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
}

function toJson(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...printed } = z.toJSONSchema(schema, { io, unrepresentable: 'any', override: plain }) as Json
  return printed
}

function componentSchemas(named: readonly Named[]): Json {
  const registry = z.registry<{ id: string }>()
  for (const { id, schema } of named) registry.add(schema, { id })
  const { schemas } = z.toJSONSchema(registry, { uri: (id) => `#/components/schemas/${id}`, io: 'output', override: plain })
  return Object.fromEntries(Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema]))
}
