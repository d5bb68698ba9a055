/** Relay connections: one type per node, non-null edges and nodes, and a page of every parent in one statement. */
import type { InputFieldMap, ObjectRef, OutputType } from '@pothos/core'
import { defaultFieldResolver, type GraphQLResolveInfo, type GraphQLSchema, isObjectType } from 'graphql'
import { demand, type IdPaths, parseInput, type Query } from '../../platform/command.ts'
import type { Sql } from '../../platform/db/index.ts'
import { decodeId, type IdType } from '../../platform/id.ts'
import type { FilterOf, FilterShape, Listing, Reader } from '../../platform/listing.ts'
import { cursorOf, maxPage, type Page, type PageInput, pageSchema } from '../../platform/page.ts'
import { builder, type Types } from './builder.ts'
import { columnsOf, loadRows, readerOf } from './columns.ts'
import type { GraphqlContext } from './context.ts'
import { levelResolverOf, ofRow, oncePerLevel } from './level.ts'
import { type Loading, loadAlone } from './loader.ts'

/** The lists of the parents of a level, by the parent's id. A list at the root has no parent. */
type Lists<Row> = { page: (id: string) => Loading<Page<Row>>; count: (id: string) => Promise<number> }

/** A list whose page and count are only read if their fields are selected. The page is read once, however many of its fields are. */
export class Connection<Row> {
  readonly #lists: Lists<Row>
  readonly #id: string
  #page: Loading<Page<Row>> | undefined

  constructor(lists: Lists<Row>, id = '') {
    this.#lists = lists
    this.#id = id
  }

  page(): Loading<Page<Row>> {
    this.#page ??= this.#lists.page(this.#id)
    return this.#page
  }

  count(): Promise<number> {
    return this.#lists.count(this.#id)
  }
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

/** The connection type of a node type, the name of that one, and the listing that it shows. */
export type Connected<Row, Filters extends FilterShape> = {
  name: string
  type: ObjectRef<Types, Connection<Row>>
  listing: Listing<Row, Filters>
}

/** Makes the connection and edge types of a node type. Call it once for each. `name`: that of the node type, if it isn't that of the listing. */
export const connectionOf = <Row extends { id: string }, Filters extends FilterShape>(
  node: OutputType<Types>,
  listing: Listing<Row, Filters>,
  name: string = listing.type,
): Connected<Row, Filters> => ({ name, type: connectionTypeOf<Row>(node, listing.type, name), listing })

/** The same types for rows of no listing. */
export function connectionTypeOf<Row extends { id: string }>(
  node: OutputType<Types>,
  idType: IdType,
  name: string = idType,
): ObjectRef<Types, Connection<Row>> {
  const Edge = builder.objectRef<Row>(`${name}Edge`).implement({
    description: 'An edge in a connection.',
    fields: (t) => ({
      cursor: t.string({ description: 'A cursor for use in pagination.', ...ofRow((row: Row) => cursorOf(idType, row)) } as never),
      node: t.field({ type: node as never, description: 'The item at the end of the edge.', ...ofRow((row: Row) => row) } as never),
    }),
  })
  return builder.objectRef<Connection<Row>>(`${name}Connection`).implement({
    description: `The connection type for ${name}.`,
    fields: (t) => ({
      edges: t.field({ type: [Edge], description: 'A list of edges.', resolve: (list) => list.page().map(({ rows }) => rows) as never }),
      nodes: t.field({
        type: [node] as never,
        description: 'A list of nodes.',
        resolve: (list) => list.page().map(({ rows }) => rows) as never,
      }),
      pageInfo: t.field({
        type: PageInfo,
        description: 'Information to aid in pagination.',
        resolve: (list) => list.page().map((page) => pageInfo(page, idType)),
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
 * Makes every field with these arguments validate page sizes, even if only the count is selected and no page is read. Errors that depend on
 * the list, such as a cursor of another list, are raised when the page is read.
 */
export function checkPages(schema: GraphQLSchema): GraphQLSchema {
  const fields = Object.values(schema.getTypeMap()).flatMap((type) => (isObjectType(type) ? Object.values(type.getFields()) : []))
  for (const field of fields) {
    if (!field.args.some(({ name }) => name === 'first')) continue
    if (levelResolverOf(field)) throw new Error(`${field.name} has pages, which are not checked where it is resolved for a level`)
    const { resolve = defaultFieldResolver } = field
    field.resolve = (parent, args, context, info) => {
      oncePerLevel(info, 'page', () => parseInput(pageSchema, args))
      return resolve(parent, args, context, info)
    }
  }
  return schema
}

/** What a root field shows: the rows of a listing, or of something else that has a description. */
type Rooted<Row> = { name: string; type: ObjectRef<Types, Connection<Row>>; listing: { description: string } }

/** A root field: the page and the count are queries, filtered by `args`. `check` runs once before them and can refuse the filter. */
export function rootConnection<Row extends { id: string }, Filter extends object, Checked>(
  { name, type, listing }: Rooted<Row>,
  {
    list,
    count,
    check,
    args = {},
  }: {
    list: Query<Filter & PageInput, Page<Row>>
    count: Query<Filter, number>
    check?: Query<Checked, void>
    args?: InputFieldMap
  },
): void {
  builder.queryField(list.name, (t) =>
    t.field({
      type,
      description: listing.description,
      args: { ...args, ...connectionArgs },
      resolve: async (_root, given, context, info) => {
        const { first, after, last, before, ...filter } = given
        if (check) await context.call(check, filter)
        return new Connection({
          page: () => loadAlone(context, context.call(list, given, columnsOf(info, name))),
          count: () => context.call(count, filter),
        })
      },
    }),
  )
}

type Nested = {
  description: string
  /** The column of the listed rows that names the parent. */
  by: string
  /** Arguments that filter the list. */
  args?: InputFieldMap
}

/** A field of the rows of another type: the list of each of them. */
export function nestedConnection<Row extends { id: string }, Filters extends FilterShape>(
  parent: ObjectRef<Types, { id: string }>,
  name: string,
  { type, listing }: Connected<Row, Filters>,
  { description, by, args = {} }: Nested,
): void {
  builder.objectField(parent, name, (t) =>
    t.field({
      type,
      description,
      args: { ...args, ...connectionArgs },
      resolve: ({ id }, given, context, info) =>
        connectionBelow(context, info, listing, id, () => {
          const { first, after, last, before, ...filter } = given
          return { parent: by, filter: filter as never, page: { first, after, last, before } }
        }),
    }),
  )
}

type ListBelow<Filters extends FilterShape> = {
  /** The column of the listed rows that names the parent. */
  parent: string
  filter: FilterOf<Filters>
  page: PageInput
  /** What else must hold of the rows of these parents; asked when all of a batch are known. */
  where?: (parentIds: readonly string[]) => Sql
}

/**
 * The list of one parent: all rows of a level are served by one statement a page, and by one a count where it is selected. `describe` says
 * which list, once for the level.
 */
export function connectionBelow<Row extends { id: string }, Filters extends FilterShape>(
  context: GraphqlContext,
  info: GraphQLResolveInfo,
  listing: Listing<Row, Filters>,
  id: string,
  describe: () => ListBelow<Filters>,
): Connection<Row> {
  return new Connection(
    oncePerLevel(info, 'lists', () => listsBelow(context, info, listing, describe())),
    id,
  )
}

function listsBelow<Row extends { id: string }, Filters extends FilterShape>(
  context: GraphqlContext,
  info: GraphQLResolveInfo,
  listing: Listing<Row, Filters>,
  { parent, filter, page, where }: ListBelow<Filters>,
): Lists<Row> {
  demand(context.caller, listing.permission)
  const name = `${info.parentType.name}.${info.fieldName}:${JSON.stringify([filter, page])}`
  const decoded = decodedIds(filter, listing.ids)
  const below = (parentIds: readonly string[]) => ({ parent, parentIds, filter: decoded, where: where?.(parentIds) })
  const columns = columnsOf(info, listing.type)
  const readPages = (reader: Reader, ids: readonly string[]) => listing.pagesBelow(reader, below(ids), page)
  const readCounts = (ids: readonly string[]) => listing.countsBelow(readerOf(context), below(ids))
  return {
    page: (id) => loadRows(context, `page:${name}`, id, columns, readPages),
    count: (id) => context.load(`count:${name}`, id, readCounts),
  }
}

function decodedIds<Filter extends object>(filter: Filter, ids: IdPaths): Filter {
  const given = Object.entries(filter).map(([name, value]) => [
    name,
    ids[name] && typeof value === 'string' ? decodeId(ids[name], value) : value,
  ])
  return Object.fromEntries(given) as Filter
}
