/** Nodes are the objects with a TypeID. Each concept declares the listings of its nodes, by which `node` and `nodes` find them. */
import type { GraphQLResolveInfo } from 'graphql'
import type PrismaTypes from '../../generated/pothos-types.ts'
import { sql } from '../../platform/db/index.ts'
import { errors } from '../../platform/errors.ts'
import { encodeId, type IdType, parseTypeId } from '../../platform/id.ts'
import type { Columns, Listing } from '../../platform/listing.ts'
import { maxPage } from '../../platform/page.ts'
import { builder, type Types } from './builder.ts'
import { columnsOf, loadRows } from './columns.ts'
import type { GraphqlContext } from './context.ts'
import { ofRow } from './level.ts'

type NodeRow = { id: string }

const typeOfRow = new WeakMap<object, IdType>()

export const Node = builder.interfaceRef<NodeRow>('Node').implement({
  description: 'An object with an ID.',
  fields: (t) => ({
    id: t.id({
      description: 'Globally unique ID of the object, a TypeID. The prefix names the type.',
      resolve: (row) => encodeId(typeOfRow.get(row)!, row.id),
    }),
  }),
  resolveType: (row) => typeOfRow.get(row as object),
})

/** The id field of a node type. TypeScript requires the `t` of the type's own builder. */
export const idField = (type: IdType) => ({
  description: 'Globally unique ID of the object, a TypeID. The prefix names the type.',
  ...ofRow((row: NodeRow) => encodeId(type, row.id)),
})

/** `createdAt` and `updatedAt`, which every node has. */
export const timestamps = {
  createdAt: { type: 'DateTime' as const, description: 'Time when the object was created.' },
  updatedAt: { type: 'DateTime' as const, description: 'Time when the object was last updated.' },
}

/** Every model that can be changed has these columns. */
type VersionedFieldBuilder = PothosSchemaTypes.PrismaObjectFieldBuilder<Types, PrismaTypes['Project'], { id: string }>

/** The fields of every row that can be changed; `t` is the builder of its type. */
export const versionFields = (t: { exposeInt: unknown; expose: unknown }) => {
  const of = t as VersionedFieldBuilder
  return {
    version: of.exposeInt('version', {
      description: 'Version of the object, incremented by every change. Pass it as `ifVersion` to detect concurrent changes.',
    }),
    createdAt: of.expose('createdAt', timestamps.createdAt),
    updatedAt: of.expose('updatedAt', timestamps.updatedAt),
  }
}

/** Finds an object by its TypeID. Null if there is none within the caller's scope. */
export async function findNode(context: GraphqlContext, id: string, asked: Asked = []): Promise<NodeRow | null> {
  const parsed = parseTypeId(id)
  const listing = parsed && context.app.domain.nodes.get(parsed.type)
  return listing ? findVisible(context, asked, listing, parsed.uuid) : null
}

/** Columns, or the field that asks for them. */
type Asked = GraphQLResolveInfo | Columns
const columnsAsked = (asked: Asked, type: IdType): Columns => ('fieldNodes' in asked ? columnsOf(asked, type) : asked)

/** The row with an id, for a field of its type or of an interface; null when there is none within the caller's scope. */
export async function findVisible<Row extends NodeRow>(
  context: GraphqlContext,
  asked: Asked,
  listing: Pick<Listing<Row>, 'type' | 'permission' | 'find'>,
  id: string,
): Promise<Row | null> {
  const { type, permission } = listing
  if (!context.caller.permissions.has(permission)) return null
  return loadRows(context, `node:${type}`, id, columnsAsked(asked, type), async (reader, ids) => {
    const found = new Map((await listing.find(reader, ids)).map((row) => [row.id, row]))
    for (const row of found.values()) typeOfRow.set(row, type)
    return ids.map((key) => found.get(key) ?? null)
  })
}

builder.queryFields((t) => ({
  node: t.field({
    type: Node,
    nullable: true,
    description: 'Object with the given ID. Null if the object does not exist or is not visible to the caller.',
    args: { id: t.arg.id({ required: true, description: 'ID of the object, a TypeID with its prefix.' }) },
    resolve: (_root, { id }, context, info) => findNode(context, id, info),
  }),
  nodes: t.field({
    type: [Node],
    nullable: { list: false, items: true },
    description:
      'Objects with the given IDs, in the same order. Contains null in place of each object that does not exist or is not visible to the caller.',
    args: { ids: t.arg.idList({ required: true, description: 'IDs of the objects, at most 100.' }) },
    resolve: (_root, { ids }, context, info) => {
      if (ids.length > maxPage) throw errors.invalid_input({ field: 'ids', text: `ids: must have at most ${maxPage} items` })
      return Promise.all(ids.map((id) => findNode(context, id, info)))
    },
  }),
}))

/** The row that a foreign key references, read with one statement for all rows of a level. Not scoped, because the key's row was. */
export async function findRelated<Row extends NodeRow>(
  context: GraphqlContext,
  asked: Asked,
  { type, read }: Pick<Listing<Row>, 'type' | 'read'>,
  id: string,
): Promise<Row> {
  const related = await loadRows(context, `row:${type}`, id, columnsAsked(asked, type), async (reader, ids) => {
    const found = new Map((await read(reader, sql`t.id = any(${ids}::uuid[])`)).map((row) => [row.id, row]))
    return ids.map((key) => found.get(key) ?? null)
  })
  if (!related) throw new Error(`${type} ${id} is referenced and missing`)
  return related
}
