/**
 * Prints the catalogue of event types for receivers: JSON Schemas, an OpenAPI 3.1 document of webhooks, and the types of the consumer
 * module. Run by `npm run generate`. Pure.
 */
import { z } from 'zod'
import type { EventDefinition } from '../../../platform/events.ts'

type JsonSchema = Record<string, unknown>

/** One version of an event type. */
export type CatalogueEntry = {
  type: string
  version: number
  description: string
  deprecatedAt: string | null
  schema: JsonSchema
  sample: unknown
}

const schemaOf = (schema: z.ZodType): JsonSchema => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'output' }) as JsonSchema
  return rest
}

const versionsOf = ({
  type,
  version,
  description,
  deprecatedAt = undefined,
  schema,
  sample,
  former = [],
}: EventDefinition): CatalogueEntry[] =>
  [{ version, schema, sample }, ...former].map((each) => ({
    type,
    version: each.version,
    description,
    deprecatedAt: deprecatedAt ?? null,
    schema: schemaOf(each.schema),
    sample: each.sample,
  }))

/** Every version of every event type, the newest version of each type first. */
export const catalogue = (definitions: readonly EventDefinition[]): CatalogueEntry[] => definitions.flatMap(versionsOf)

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

const envelope = ({ type, version, description, schema }: CatalogueEntry): JsonSchema => ({
  title: type,
  description,
  type: 'object',
  required: ['type', 'timestamp', 'data', 'id', 'organizationId', 'sequence', 'schemaVersion'],
  properties: {
    type: { const: type },
    timestamp: { type: 'string', format: 'date-time', description: 'Time when the event occurred.' },
    data: schema,
    id: { type: 'string', description: 'ID of the event. Equal to the header `webhook-id`.' },
    organizationId: { type: 'string', description: 'ID of the organization that the event belongs to.' },
    sequence: {
      type: 'integer',
      description: 'Number of the event, starting at 1 for each subject. An event with a lower number than the last one is stale.',
    },
    schemaVersion: { const: version },
    test: { const: true, description: 'Present if the event is a manually sent test.' },
  },
})

/** JSON Schemas of the whole body of every version, by `<type>.v<version>`, in one schema that allows any of them. */
export function printSchemas(definitions: readonly EventDefinition[]): string {
  const schemas = catalogue(definitions).map(
    (entry) => [`${entry.type}.v${entry.version}`, { ...envelope(entry), examples: [example(entry)] }] as const,
  )
  return json({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Webhooks of Quayside',
    description:
      'Request body of any event type. `$defs` contains the schema of each type as `<type>.v<version>`, such as `project.created.v1`. Each of these schemas is self-contained.',
    oneOf: schemas.map(([name]) => ({ $ref: `#/$defs/${name}` })),
    $defs: Object.fromEntries(schemas),
  })
}

const example = ({ type, version, sample }: CatalogueEntry) => ({
  type,
  timestamp: '2026-01-31T12:00:00.000Z',
  data: sample,
  id: 'evt_01h455vb4pex5vsknk084sn02q',
  organizationId: 'org_01h455vb4pex5vsknk084sn02q',
  sequence: 1,
  schemaVersion: version,
})

/** An OpenAPI 3.1 document whose `webhooks` are the newest version of each event type. */
export function printOpenapi(definitions: readonly EventDefinition[]): string {
  const newest = definitions.map((definition) => versionsOf(definition)[0]!)
  const header = (description: string) => ({ in: 'header', required: true, description, schema: { type: 'string' } })
  return json({
    openapi: '3.1.0',
    info: {
      title: 'Webhooks of Quayside',
      version: '1',
      description: 'Requests that Quayside sends to webhook endpoints, signed according to Standard Webhooks 1.0.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    paths: {},
    webhooks: Object.fromEntries(
      newest.map((entry) => [
        entry.type,
        {
          post: {
            operationId: operationId(entry.type),
            summary: entry.type,
            description: entry.description,
            tags: [entry.type.split('.')[0]!],
            ...(entry.deprecatedAt ? { deprecated: true } : {}),
            security: [],
            parameters: [
              { name: 'webhook-id', ...header('ID of the event, the same for every attempt.') },
              { name: 'webhook-timestamp', ...header('Time of the attempt, as a Unix timestamp in seconds.') },
              { name: 'webhook-signature', ...header('Space-separated list of signatures: `v1,…` or `v1a,…`.') },
            ],
            requestBody: { required: true, content: { 'application/json': { schema: envelope(entry), example: example(entry) } } },
            responses: {
              '2XX': { description: 'Accepted.' },
              '410': { description: 'Gone. Quayside disables the endpoint.' },
              '4XX': { description: 'Not accepted. Quayside retries according to the schedule.' },
              '5XX': { description: 'Not accepted. Quayside retries according to the schedule.' },
            },
          },
        },
      ]),
    ),
    tags: [...new Set(newest.map(({ type }) => type.split('.')[0]!))].map((name) => ({ name, description: `Events of type ${name}.*.` })),
  })
}

const pascal = (type: string) => type.replace(/(^|[._])([a-z0-9])/g, (_, __, letter: string) => letter.toUpperCase())
const operationId = (type: string) => `on${pascal(type)}`

/** A plain JavaScript module with the names and newest versions. */
export const printCatalogueModule = (definitions: readonly EventDefinition[]): string =>
  [
    '/** Generated by `npm run generate`: all event types with their newest versions. */',
    'export const types = Object.freeze({',
    ...definitions.map(({ type, version }) => `  '${type}': ${version},`),
    '})',
    '',
  ].join('\n')

/** The types of the consumer module: a union discriminated by `type`, so that a switch over it is exhaustive. */
export function printTypes(definitions: readonly EventDefinition[]): string {
  const entries = catalogue(definitions)
  const names = [...new Set(entries.map(({ type }) => type))]
  const data = (entry: CatalogueEntry) => `${pascal(entry.type)}DataV${entry.version}`
  const body = (type: string) => {
    const versions = entries.filter((entry) => entry.type === type)
    return [
      `/** ${versions[0]!.description}${versions[0]!.deprecatedAt ? `\n * @deprecated since ${versions[0]!.deprecatedAt}` : ''} */`,
      `export type ${pascal(type)} = ${versions.map((entry) => `Envelope<'${type}', ${entry.version}, ${data(entry)}>`).join(' | ')}`,
    ].join('\n')
  }
  return [
    '/** Generated by `npm run generate` from the declared event types. */',
    '',
    'export type Envelope<Type extends string, Version extends number, Data> = {',
    '  type: Type',
    '  /** Time when the event occurred, as an ISO 8601 string. */',
    '  timestamp: string',
    '  data: Data',
    '  /** ID of the event. Equal to the header `webhook-id`. */',
    '  id: string',
    '  organizationId: string',
    '  /** Number of the event, starting at 1 for each subject. An event with a lower number than the last one is stale. */',
    '  sequence: number',
    '  schemaVersion: Version',
    '  /** Present if the event is a manually sent test. */',
    '  test?: true',
    '}',
    '',
    ...entries.map((entry) => `export type ${data(entry)} = ${typeText(entry.schema, 0)}\n`),
    ...names.map((type) => `${body(type)}\n`),
    '/** An event whose type is not known to this version of the module. */',
    "export type UnknownEvent = Omit<Envelope<'unknown', number, unknown>, 'test'> & { originalType: string; test?: true }",
    '',
    '/** An event returned by `verify`. */',
    'export type WebhookEvent =',
    ...names.map((type) => `  | ${pascal(type)}`),
    '  | UnknownEvent',
    '',
    "export type WebhookEventType = Exclude<WebhookEvent['type'], 'unknown'>",
    '',
    '/** Names of all event types known to this version of the module. */',
    'export declare const eventTypes: readonly WebhookEventType[]',
    '',
    '/** The signature or timestamp of a request is not valid, or the body is not an event. */',
    'export declare class WebhookVerificationError extends Error {}',
    '',
    '/** Headers of a request, as `Headers` of fetch or as a plain object like that of node:http. */',
    'export type RequestHeaders = { get(name: string): string | null } | Record<string, string | string[] | undefined>',
    '',
    '/**',
    ' * Verifies a request according to Standard Webhooks 1.0 and returns its event. `rawBody` is the body as received, not parsed JSON.',
    ' * `secret` is the signing secret `whsec_…`, or the public key `whpk_…` with Ed25519. During a rotation, pass several.',
    ' * Throws a WebhookVerificationError if the request is not valid or its body is not an event, and a TypeError if the body is parsed',
    ' * or the secret is missing or malformed.',
    ' */',
    'export declare function verify(',
    '  rawBody: Uint8Array | ArrayBuffer | string,',
    '  headers: RequestHeaders,',
    '  secret: string | readonly string[],',
    '): WebhookEvent',
    '',
  ].join('\n')
}

/** Prints a JSON Schema as TypeScript. Supports only what the zod schemas of this project produce. */
function typeText(schema: JsonSchema, depth: number): string {
  const alternatives = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  if (alternatives) return [...new Set(alternatives.map((each) => typeText(each, depth)))].join(' | ')
  if (Array.isArray(schema.type)) return schema.type.map((type: string) => typeText({ ...schema, type }, depth)).join(' | ')
  if ('const' in schema) return literal(schema.const)
  if (Array.isArray(schema.enum)) return schema.enum.map(literal).join(' | ')
  switch (schema.type) {
    case 'string':
      return 'string'
    case 'integer':
    case 'number':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'null':
      return 'null'
    case 'array':
      return `Array<${typeText((schema.items ?? {}) as JsonSchema, depth)}>`
    case 'object':
      return objectText(schema, depth)
    default:
      return 'unknown'
  }
}

const literal = (value: unknown) => (typeof value === 'string' ? `'${value}'` : JSON.stringify(value))

function objectText(schema: JsonSchema, depth: number): string {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>)
  if (properties.length === 0) {
    const values = schema.additionalProperties
    return `Record<string, ${values && typeof values === 'object' ? typeText(values as JsonSchema, depth) : 'unknown'}>`
  }
  const required = new Set((schema.required ?? []) as string[])
  const indent = '  '.repeat(depth + 1)
  const fields = properties.flatMap(([name, field]) => [
    ...(typeof field.description === 'string' ? [`${indent}/** ${field.description} */`] : []),
    `${indent}${name}${required.has(name) ? '' : '?'}: ${typeText(field, depth + 1)}`,
  ])
  return ['{', ...fields, `${'  '.repeat(depth)}}`].join('\n')
}
