/** The Pothos builder itself, with its scalars and root types. */
import SchemaBuilder from '@pothos/core'
import PrismaPlugin from '@pothos/plugin-prisma'
import { GraphQLError, GraphQLScalarType, Kind, type ValueNode } from 'graphql'
import type PrismaTypes from '../../generated/pothos-types.ts'
import { getDatamodel } from '../../generated/pothos-types.ts'
import { isoText } from '../../platform/iso-text.ts'
import './columns.ts'
import type { GraphqlContext } from './context.ts'
import './level.ts'
import './permission.ts'

export const builder = new SchemaBuilder<{
  Context: GraphqlContext
  PrismaTypes: PrismaTypes
  DefaultFieldNullability: false
  Scalars: {
    ID: { Input: string; Output: string }
    DateTime: { Input: Date; Output: Date }
    JSON: { Input: unknown; Output: unknown }
  }
}>({
  // The first is asked last, when the others have said what they know of a field.
  plugins: ['columns', 'permission', 'levels', PrismaPlugin],
  defaultFieldNullability: false,
  prisma: {
    client: () => {
      throw new Error('a field would read by Prisma; read it by a listing or a query of its concept')
    },
    dmmf: getDatamodel(),
    exposeDescriptions: false,
    filterConnectionTotalCount: true,
  },
})

const dateTime = (value: unknown): Date => {
  const date =
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(value) ? new Date(value) : null
  if (!date || Number.isNaN(date.getTime()))
    throw new GraphQLError('A DateTime must be an ISO 8601 string with a time zone, such as 2026-01-31T12:00:00Z.')
  return date
}

builder.addScalarType(
  'DateTime',
  new GraphQLScalarType<Date, string>({
    name: 'DateTime',
    description:
      'Point in time, as an ISO 8601 string with a time zone. Always returned in UTC with milliseconds, such as `2026-01-31T12:00:00.000Z`.',
    specifiedByURL: 'https://datatracker.ietf.org/doc/html/rfc3339#section-5.6',
    serialize: (value) => isoText(value instanceof Date ? value : new Date(value as string)),
    parseValue: dateTime,
    parseLiteral: (node) => dateTime(node.kind === Kind.STRING ? node.value : null),
  }),
)

const literal = (node: ValueNode, variables: Record<string, unknown>): unknown => {
  switch (node.kind) {
    case Kind.STRING:
    case Kind.BOOLEAN:
    case Kind.ENUM:
      return node.value
    case Kind.INT:
    case Kind.FLOAT:
      return Number(node.value)
    case Kind.LIST:
      return node.values.map((item) => literal(item, variables))
    case Kind.OBJECT:
      return Object.fromEntries(node.fields.map((field) => [field.name.value, literal(field.value, variables)]))
    case Kind.VARIABLE:
      return variables[node.name.value]
    case Kind.NULL:
      return null
  }
}

builder.addScalarType(
  'JSON',
  new GraphQLScalarType({
    name: 'JSON',
    description: 'Any JSON value.',
    specifiedByURL: 'https://datatracker.ietf.org/doc/html/rfc8259',
    serialize: (value) => value,
    parseValue: (value) => value,
    parseLiteral: (node, variables) => literal(node, variables ?? {}),
  }),
)

builder.queryType({
  description: 'Read operations. Lists are Relay connections. An object of another organization is treated like one that does not exist.',
})
builder.mutationType({
  description: 'Write operations. Each mutation takes one `input` argument and returns a payload with the changed object.',
})
builder.subscriptionType({ description: 'Live updates, over WebSocket (subprotocol `graphql-transport-ws`) or server-sent events.' })

export type Types = (typeof builder)['$inferSchemaTypes']
