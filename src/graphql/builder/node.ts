/** Nodes: what has a TypeID. Each type registers how its rows are read within the caller's scope. */
import type { ObjectFieldBuilder } from '@pothos/core'
import { raw, rows, sql } from '../../platform/db/index.ts'
import { errors } from '../../platform/errors.ts'
import { encodeId, type IdType, parseTypeId } from '../../platform/id.ts'
import { maxPage } from '../../platform/page.ts'
import { builder, type Types } from './builder.ts'
import type { GraphqlContext } from './context.ts'

type NodeRow = { id: string }
type ReadNodes = (context: GraphqlContext, ids: readonly string[]) => Promise<NodeRow[]>

export const nodeTypes = new Map<IdType, ReadNodes>()

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

/** How `node` and `nodes` find rows of a type: `read` gives those that the caller may see, in any order. */
export function registerNode(type: IdType, read: ReadNodes): void {
  nodeTypes.set(type, read)
}

/** The id field of a node type; TypeScript wants the builder's own `t`. */
export const idField = (type: IdType) => ({
  description: 'Globally unique ID of the object, a TypeID. The prefix names the type.',
  resolve: (row: NodeRow) => encodeId(type, row.id),
})

/** `createdAt` and `updatedAt`, which every node has. */
export const timestamps = {
  createdAt: {
    type: 'DateTime' as const,
    description: 'Time when the object was created.',
    resolve: (row: { createdAt: Date }) => row.createdAt,
  },
  updatedAt: {
    type: 'DateTime' as const,
    description: 'Time when the object was last updated.',
    resolve: (row: { updatedAt: Date }) => row.updatedAt,
  },
}

type Versioned = { version: number; createdAt: Date; updatedAt: Date }

/** The fields of every row that can be changed. */
export const versionFields = (t: Pick<ObjectFieldBuilder<Types, Versioned>, 'int' | 'field'>) => ({
  version: t.int({
    description: 'Version of the object, incremented by every change. Pass it as `ifVersion` to detect concurrent changes.',
    resolve: (row) => row.version,
  }),
  createdAt: t.field(timestamps.createdAt),
  updatedAt: t.field(timestamps.updatedAt),
})

/** A thing by its TypeID; null when there is none within the caller's scope. */
export async function findNode(context: GraphqlContext, id: string): Promise<NodeRow | null> {
  const parsed = parseTypeId(id)
  const read = parsed && nodeTypes.get(parsed.type)
  if (!parsed || !read) return null
  return context.load(`node:${parsed.type}`, parsed.uuid, async (ids: readonly string[]) => {
    const found = new Map((await read(context, ids)).map((row) => [row.id, row]))
    for (const row of found.values()) typeOfRow.set(row, parsed.type)
    return ids.map((key) => found.get(key) ?? null)
  })
}

builder.queryFields((t) => ({
  node: t.field({
    type: Node,
    nullable: true,
    description: 'Object with the given ID. Null if the object does not exist or is not visible to the caller.',
    args: { id: t.arg.id({ required: true, description: 'ID of the object, a TypeID with its prefix.' }) },
    resolve: (_root, { id }, context) => findNode(context, id),
  }),
  nodes: t.field({
    type: [Node],
    nullable: { list: false, items: true },
    description:
      'Objects with the given IDs, in the same order. Contains null in place of each object that does not exist or is not visible to the caller.',
    args: { ids: t.arg.idList({ required: true, description: 'IDs of the objects, at most 100.' }) },
    resolve: (_root, { ids }, context) => {
      if (ids.length > maxPage) throw errors.invalid_input({ field: 'ids', text: `ids: must have at most ${maxPage} items` })
      return Promise.all(ids.map((id) => findNode(context, id)))
    },
  }),
}))

/** The row behind a foreign key, one statement for all rows of a level. No scope is added: the key was in scope. */
export async function rowById<Row extends NodeRow>(context: GraphqlContext, table: string, id: string): Promise<Row> {
  const found = await context.load(`row:${table}`, id, async (ids: readonly string[]) => {
    const list = await rows<Row>(context.app.db.prisma, sql`select * from ${raw(table)} where id = any(${ids}::uuid[])`)
    const byId = new Map(list.map((row) => [row.id, row]))
    return ids.map((key) => byId.get(key) ?? null)
  })
  if (!found) throw new Error(`${table} ${id} is referenced and missing`)
  return found
}
