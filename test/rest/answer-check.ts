/** Holds each answer against the OpenAPI document of its dialect: status, type, headers and body, including fields that it does not name. */
import type { IncomingHttpHeaders } from 'node:http'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { type Dialect, faceOf, pickDialect, printDocument } from '../../src/rest/core/index.ts'

type Json = Record<string, unknown>
type Declared = { $ref?: string; content?: Record<string, unknown>; headers?: Json }
type Operation = { responses: Record<string, Declared> }
type Document = {
  paths: Record<string, Record<string, Operation>>
  components: { headers: Record<string, { required?: boolean }>; responses: Record<string, Declared> }
}

export type Asked = { method: string; url: string; headers: IncomingHttpHeaders }
export type Given = { status: number; headers: Record<string, unknown>; text: string }

const jsonType = 'application/json; charset=utf-8'

/** Any path can answer these, whatever its operations are. */
const isOfTransport = new Set([408, 431])

/** Throws an Error that names the request and all differences. */
export function createAnswerCheck(dialects: readonly Dialect[]): (asked: Asked, given: Given) => void {
  const faces = dialects.map(faceOf)
  const documents = new Map(dialects.map((dialect) => [dialect.name, JSON.parse(printDocument(dialect)) as Document]))
  const pathOf = new Map(dialects.map((dialect) => [dialect.name, documentedPaths(dialect, documents.get(dialect.name)!)]))
  const ajv = new Ajv2020({ allErrors: true, strict: 'log', strictTypes: false, logger: { log: console.log, warn: refuse, error: refuse } })
  addFormats.default(ajv)
  ajv.addVocabulary(['openapi', 'info', 'servers', 'security', 'tags', 'paths', 'components', 'example'])
  for (const [name, document] of documents) ajv.addSchema(closed(document) as object, name)
  const compiled = new Map<string, ValidateFunction>()
  const schemaAt = (dialect: Dialect, ...place: string[]) => {
    const key = JSON.stringify([dialect.name, ...place])
    const pointer = place.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
    const schema = compiled.get(key) ?? ajv.compile({ $ref: `${dialect.name}#/${pointer}` })
    compiled.set(key, schema)
    return schema
  }

  return (asked, given) => {
    const dialect = dialects.find(({ name }) => name === pickDialect(faces, asked.url, asked.headers))
    if (!dialect) return
    const document = documents.get(dialect.name)!
    const path = pathOf.get(dialect.name)!(asked.url)
    const verb = asked.method === 'HEAD' ? 'get' : asked.method.toLowerCase()
    const operation = path === undefined ? undefined : document.paths[path]![verb]
    const fail = (problem: string) => {
      throw new Error(`${asked.method} ${asked.url} (${dialect.name}) answered ${given.status}: ${problem}\n${given.text.slice(0, 2_000)}`)
    }
    const hold = (schema: ValidateFunction) => {
      if (given.headers['content-type'] !== jsonType) return fail(`the type is ${given.headers['content-type']}, not ${jsonType}`)
      if (asked.method !== 'HEAD' && !schema(JSON.parse(given.text))) fail((schema.errors ?? []).map(sentence).join('\n'))
    }
    if (!given.headers['x-request-id']) fail('X-Request-Id is missing')
    if (asked.method === 'OPTIONS') return given.text === '' ? undefined : fail('OPTIONS has a body')
    if (!operation) return given.status < 400 ? undefined : hold(schemaAt(dialect, 'components', 'schemas', dialect.errorSchema.id))

    const response = operation.responses[given.status]
    if (isOfTransport.has(given.status)) return hold(schemaAt(dialect, 'components', 'schemas', dialect.errorSchema.id))
    if (!response) return fail(`declared are ${Object.keys(operation.responses).join(', ')}`)
    const place = response.$ref?.split('/').slice(1) ?? ['paths', path!, verb, 'responses', String(given.status)]
    const declared = response.$ref === undefined ? response : document.components.responses[place.at(-1)!]!
    for (const name of Object.keys(declared.headers ?? {})) {
      if (document.components.headers[name]!.required && given.headers[name.toLowerCase()] === undefined)
        fail(`the header ${name} is missing`)
    }
    if (declared.content) return hold(schemaAt(dialect, ...place, 'content', 'application/json', 'schema'))
    if (given.text !== '') fail('no body is declared')
  }
}

const sentence = ({ instancePath, message, params }: ErrorObject): string =>
  `${instancePath || 'the body'} ${message}${'additionalProperty' in params ? ` (${params.additionalProperty})` : ''}`

function refuse(problem: string): void {
  throw new Error(`the OpenAPI document contains a schema that cannot be checked: ${problem}`)
}

/** The path of the document that a URL has. Of several, the one with fewest parameters. */
function documentedPaths({ prefixes: [first, ...aliases] }: Dialect, { paths }: Document): (url: string) => string | undefined {
  const patterns = Object.keys(paths)
    .sort((one, other) => one.split('{').length - other.split('{').length)
    .map((path) => ({ path, pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`) }))
  return (url) => {
    const bare = url.split('?')[0]!.replace(/\/$/, '')
    const alias = aliases.find((prefix) => bare.startsWith(`${prefix}/`))
    const wanted = alias ? first + bare.slice(alias.length) : bare
    return patterns.find(({ pattern }) => pattern.test(wanted))?.path
  }
}

/** The same schema with objects that allow no additional fields. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed)
  if (value === null || typeof value !== 'object') return value
  const object: Json = Object.fromEntries(Object.entries(value).map(([name, item]) => [name, closed(item)]))
  return object.type === 'object' && object.properties ? { ...object, additionalProperties: false } : object
}
