/** Prints a dialect's OpenAPI 3.1 document from its route tables. The same tables always produce the same bytes. */
import { z } from 'zod'
import { accessCookie } from '../../platform/credential.ts'
import type { Dialect } from './dialect.ts'
import { headerComponents, isCacheable, responseComponents, responsesOf } from './openapi-response.ts'
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
      headers: headerComponents(dialect),
      responses: responseComponents(dialect),
      schemas: componentSchemas(named),
    },
  }
  return `${JSON.stringify(document, null, 2)}\n`
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
    ...propertiesOf(route, route.headerFields).map((property) => ({
      ...parameter(property),
      name: headerName(property.name),
      in: 'header',
    })),
    ...(route.writes ? conditionHeaders(dialect, route) : []),
    ...(isCacheable(route) ? [freshnessHeader] : []),
  ]
  return {
    operationId: isAlias ? `${route.id}By${namesAtEnd(path)}` : route.id,
    summary,
    ...(description ? { description } : {}),
    tags: [tag],
    ...(deprecation ? { deprecated: true } : {}),
    ...(route.people ? { security: credentialsOfPeople } : {}),
    ...(route.runs === 'visit' ? { security: [] } : {}),
    ...(route.credential ? { security: [...credentialsOf(dialect), { [route.credential.name]: [] }] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body.length > 0 ? { requestBody: requestBody(body) } : {}),
    responses: responsesOf(dialect, route),
  }
}

const deprecationText = ({ since, sunset }: Deprecation) =>
  `Deprecated since ${dayOf(since)}: use another path of this operation. This path works at least until ${dayOf(sunset)}; the headers \`Deprecation\` and \`Sunset\` of its responses say so.`

const dayOf = (date: Date) => date.toISOString().slice(0, 10)

/** The words after the last parameter of a path, or of the whole path: `ActionsQuickUpdate`. */
const namesAtEnd = (path: string) => path.split('}').at(-1)!.split(/[/-]/).filter(Boolean).map(capitalised).join('')

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
      required: source.required === true || (required.includes(source.to) && source.fallback === undefined),
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
