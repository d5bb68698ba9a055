/** Relay connections: one type per node, non-null edges and nodes, and a page of every parent in one statement. */
import type { ObjectRef } from '@pothos/core'
import { defaultFieldResolver, type GraphQLSchema, isObjectType } from 'graphql'
import type { Permission } from '../../platform/access.ts'
import { demand, parseInput } from '../../platform/command.ts'
import { type Sql, sql } from '../../platform/db/index.ts'
import type { IdType } from '../../platform/id.ts'
import {
  countsByParent,
  cursorOf,
  type Listing,
  maxPage,
  type Page,
  type PageInput,
  pageSchema,
  pagesByParent,
} from '../../platform/page.ts'
import { builder, type Types } from './builder.ts'
import type { GraphqlContext } from './context.ts'

/** A list whose page and count are read only when their fields are selected. */
export type Connection<Row> = { page: () => Promise<Page<Row>>; count: () => Promise<number> }

/** Wraps two readers; the page is read once, whatever fields of it are selected. */
export function connection<Row>(page: () => Promise<Page<Row>>, count: () => Promise<number>): Connection<Row> {
  let read: Promise<Page<Row>> | undefined
  return { page: () => (read ??= page()), count }
}

type PageInfoShape = { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null }

const PageInfo = builder.objectRef<PageInfoShape>('PageInfo').implement({
  description: 'Information about pagination in a connection.',
  fields: (t) => ({
    hasNextPage: t.exposeBoolean('hasNextPage', { description: 'Whether there are more items when paginating forwards.' }),
    hasPreviousPage: t.exposeBoolean('hasPreviousPage', { description: 'Whether there are more items when paginating backwards.' }),
    startCursor: t.exposeString('startCursor', {
      nullable: true,
      description: 'When paginating backwards, the cursor to continue from. Null if the page is empty.',
    }),
    endCursor: t.exposeString('endCursor', {
      nullable: true,
      description: 'When paginating forwards, the cursor to continue from. Null if the page is empty.',
    }),
  }),
})

/** The connection and edge types of a node type. Call it once for each. */
export function connectionType<Row extends { id: string }>(node: ObjectRef<Types, Row, Row>, name: string, cursorType: IdType) {
  const Edge = builder.objectRef<Row>(`${name}Edge`).implement({
    description: 'An edge in a connection.',
    fields: (t) => ({
      cursor: t.string({ description: 'A cursor for use in pagination.', resolve: (row) => cursorOf(cursorType, row as Row) }),
      node: t.field({ type: node, description: 'The item at the end of the edge.', resolve: (row) => row as never }),
    }),
  })
  return builder.objectRef<Connection<Row>>(`${name}Connection`).implement({
    description: `The connection type for ${name}.`,
    fields: (t) => ({
      edges: t.field({ type: [Edge], description: 'A list of edges.', resolve: async (list) => (await list.page()).rows as never }),
      nodes: t.field({
        type: [node],
        description: 'A list of nodes.',
        resolve: async (list) => (await list.page()).rows as never,
      }),
      pageInfo: t.field({
        type: PageInfo,
        description: 'Information to aid in pagination.',
        resolve: async (list) => pageInfo(await list.page(), cursorType),
      }),
      totalCount: t.int({ description: 'Total number of items. Computed only when selected.', resolve: (list) => list.count() }),
    }),
  })
}

function pageInfo<Row extends { id: string }>(page: Page<Row>, type: IdType): PageInfoShape {
  const [first, last] = [page.rows[0], page.rows.at(-1)]
  return {
    hasNextPage: page.hasNextPage,
    hasPreviousPage: page.hasPreviousPage,
    startCursor: first ? cursorOf(type, first) : null,
    endCursor: last ? cursorOf(type, last) : null,
  }
}

/** Relay's four paging arguments. */
export const connectionArgs = builder.args((t) => ({
  first: t.int({
    description: `Return the first n items, from 1 to ${maxPage}. Defaults to 50 when \`last\` is not given. Cannot be combined with \`last\`.`,
  }),
  after: t.string({ description: 'Return the items that come after this cursor.' }),
  last: t.int({ description: `Return the last n items, from 1 to ${maxPage}. Cannot be combined with \`first\`.` }),
  before: t.string({ description: 'Return the items that come before this cursor.' }),
}))

/**
 * Lets every field that takes these arguments refuse bad sizes itself, whatever is selected of its list: a count alone reads no page.
 * What depends on the list, such as whose cursor it is, is said by the page.
 */
export function checkPages(schema: GraphQLSchema): GraphQLSchema {
  const fields = Object.values(schema.getTypeMap()).flatMap((type) => (isObjectType(type) ? Object.values(type.getFields()) : []))
  for (const field of fields) {
    if (!field.args.some(({ name }) => name === 'first')) continue
    const { resolve = defaultFieldResolver } = field
    field.resolve = (parent, args, context, info) => {
      parseInput(pageSchema, args)
      return resolve(parent, args, context, info)
    }
  }
  return schema
}

type Nested = {
  /** Names the batch; unique for the field. */
  name: string
  permission: Permission
  listing: (context: GraphqlContext) => Listing
  /** The column of `t` that names the parent. */
  parent: Sql
  /** What else must hold of the rows of these parents; asked when all of a batch are known. */
  where?: (parentIds: readonly string[]) => Sql
}

/** A connection below a row: all rows of a level are served by one statement a page, and one a count where it is selected. */
export function nestedConnection<Row>(
  context: GraphqlContext,
  parentId: string,
  args: PageInput,
  { name, permission, listing, parent, where }: Nested,
): Connection<Row> {
  demand(context.caller, permission)
  const list = listing(context)
  const of = (ids: readonly string[]): Listing => (where ? { ...list, where: sql`${list.where} and ${where(ids)}` } : list)
  const key = `${name}:${JSON.stringify(args)}`
  const tx = context.app.db.prisma
  return connection(
    () => context.load(`page:${key}`, parentId, (ids: readonly string[]) => pagesByParent<Row>(tx, of(ids), parent, ids, args)),
    () => context.load(`count:${key}`, parentId, (ids: readonly string[]) => countsByParent(tx, of(ids), parent, ids)),
  )
}
