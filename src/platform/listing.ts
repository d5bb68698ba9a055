/**
 * Listings: the rows of a type, declared once: which of them a caller may see, how a list of them is filtered and ordered. Pages,
 * counts, slices and look-ups follow from that. A reader names the columns that it needs, and only those are read: reading another
 * column of such a row throws. Everything that turns a selection of columns into SQL is in this file.
 */
import { z } from 'zod'
import type { Caller, Permission } from './access.ts'
import { defineQuery, demandPerson, type IdPaths, type Query, type Read, visible } from './command.ts'
import { columnOf, fieldsOf, join, lookUp, type Model, type RowOf, raw, rows, type Sql, sql } from './db/index.ts'
import type { IdType } from './id.ts'
import {
  type Page,
  type PageInput,
  type PageOrder,
  type PagePlan,
  pageSchema,
  planPage,
  type Slice,
  type SliceInput,
  sliceInput,
  windowOf,
} from './page.ts'

/** Names of columns, as fields of the row. */
export type Columns = readonly string[]

/** What rows are read with. Without `columns`, all columns and computed values are read. */
export type Reader = Pick<Read, 'tx' | 'caller' | 'columns'>

/** Rows of many parents, in the order of the parents. */
export type Below = {
  /** The column that names the parent. */
  parent: string
  parentIds: readonly string[]
  where?: Sql
} & (
  | { page: PagePlan }
  | {
      orderBy: Sql
      /** Of each parent. */
      limit?: number
    }
)

export type Table<Row> = {
  /** The table under the alias `t`, which conditions use. */
  from: Sql
  /** Rows for which a condition holds, in the order and number that the text after it says; without the caller's scope. */
  read(reader: Reader, where: Sql): Promise<Row[]>
  /** The row for which a condition on a unique key holds; without the caller's scope. */
  lookUp(reader: Reader, where: Sql): Promise<Row | null>
  /** Rows of many parents in one statement, without the caller's scope. */
  readBelow(reader: Reader, below: Below): Promise<Row[][]>
}

type TableOptions<Row, Computed extends string = string> = {
  /** Default: the name of the model in snake_case. */
  table?: string
  /** Columns that are never read here. */
  omit?: readonly (keyof Row & string)[]
  /** Values that are computed beside the columns, by field; read only when they are asked for by name. */
  computed?: Record<Computed, (caller: Caller) => Sql>
}

/** A table whose rows are found by those of others only. */
export function defineTable<Name extends Model, Row = RowOf<Name>>(
  model: Name,
  { table = columnOf(model), omit = [], computed = {} }: TableOptions<RowOf<Name>> = {},
): Table<Row> {
  const fields = fieldsOf(model).filter((field) => !(omit as readonly string[]).includes(field))
  const shapeOf = createShapes(fields, Object.keys(computed))
  const from = raw(`${table} t`)
  const selectOf = ({ stored, extra }: Shape, caller: Caller): Sql =>
    extra.length === 0 ? stored : join([stored, ...extra.map((field) => sql`${computed[field]!(caller)} as ${raw(`"${field}"`)}`)])

  const statement = ({ caller, columns }: Reader, where: Sql): [Sql, (values: readonly unknown[]) => Row] => {
    const shape = shapeOf(columns)
    return [sql`select ${selectOf(shape, caller)} from ${from} where ${where}`, (values) => shape.build(values) as Row]
  }

  return {
    from,
    read: (reader, where) => rows(reader.tx, ...statement(reader, where)),
    lookUp: (reader, where) => lookUp(reader.tx, ...statement(reader, where)),
    async readBelow({ tx, caller, columns }, { parent, parentIds, where = sql`true`, ...below }) {
      const shape = shapeOf(columns)
      const column = raw(`t.${columnOf(parent)}`)
      const { condition, orderBy, limit } =
        'page' in below
          ? { ...below.page.below(column, sql`p.id`), limit: below.page.limit }
          : { condition: sql`${column} = p.id`, orderBy: below.orderBy, limit: below.limit ?? null }
      const distinct = [...new Set(parentIds)]
      const found = new Map<string, Row[]>(distinct.map((id) => [id, []]))
      await rows(
        tx,
        sql`select p.n::int as parent, l.* from unnest(${distinct}::uuid[]) with ordinality as p(id, n) cross join lateral (
              select ${selectOf(shape, caller)} from ${from} where ${condition} and ${where} order by ${orderBy} limit ${limit}::bigint) l`,
        (values) => found.get(distinct[(values[0] as number) - 1]!)!.push(shape.build(values, 1) as Row),
      )
      return parentIds.map((id) => found.get(id)!)
    },
  }
}

type Shape = { stored: Sql; extra: string[]; build: BuildFrom }

/** As many selections of a table as are remembered. */
const shapesMost = 1_000

/** Select lists and the rows that they give, by the columns asked for. Names that the table doesn't have are somebody else's. */
function createShapes(fields: readonly string[], computed: readonly string[]): (columns: Columns | undefined) => Shape {
  const known = new Map<string, Shape>()
  const all = [...fields, ...computed]
  const key = fields.includes('id') ? 'id' : fields[0]!
  return (columns = all) => {
    const name = columns.join()
    const found = known.get(name)
    if (found) return found
    const asked = new Set([key, ...columns])
    const [stored, extra] = [fields, computed].map((names) => names.filter((field) => asked.has(field))) as [string[], string[]]
    const shape: Shape = {
      stored: raw(stored.map((field) => `t.${columnOf(field)} as "${field}"`).join(', ')),
      extra,
      build: createBuild([...stored, ...extra], all),
    }
    if (known.size >= shapesMost) known.delete(known.keys().next().value!)
    known.set(name, shape)
    return shape
  }
}

/** Builds a row from the values of its fields, which start at an index. */
type BuildFrom = (values: readonly unknown[], start?: number) => object

/** Builds rows of some fields of a type. Reading another field of the type throws instead of returning undefined. */
function createBuild(chosen: readonly string[], all: readonly string[]): BuildFrom {
  const refusals = Object.fromEntries(
    all
      .filter((field) => !chosen.includes(field))
      .map((field) => [
        field,
        {
          get(): never {
            throw new Error(`${field} was not selected: the field that reads it does not declare it`)
          },
        },
      ]),
  )
  const prototype = Object.create(Object.prototype, refusals) as object
  return (values, start = 0) => {
    const row = Object.create(prototype) as Record<string, unknown>
    for (let at = 0; at < chosen.length; at++) row[chosen[at]!] = values[start + at]
    return row
  }
}

export type FilterShape = z.ZodRawShape
export type FilterOf<Filters extends FilterShape> = { [Name in keyof Filters]?: z.output<Filters[Name]> }

type Declared<Type extends Model & IdType, Filters extends FilterShape, Computed extends string> = TableOptions<RowOf<Type>, Computed> & {
  /** Type of the rows: the model, and the type of their ids. */
  type: Type
  /** What descriptions call a row. */
  noun: string
  /** Default: says that the rows are those visible to the caller, and their order. */
  description?: string
  permission: Permission
  order: PageOrder
  /** Column or computed value with the name of a row, for audit entries. Default: `name`. */
  nameColumn?: NoInfer<(keyof RowOf<Type> & string) | Computed>
  /** Columns and computed values that audit entries show when they change. They must not contain secrets. Default: none. */
  audited?: readonly NoInfer<(keyof RowOf<Type> & string) | Computed>[]
  /** Which rows `t` the caller may see. Default: those of its organization and project. */
  visible?: (caller: Caller) => Sql
  /** What a list may be filtered by. */
  filter?: Filters
  /** Which filters are ids. */
  ids?: IdPaths
  /**
   * Filters that name a column with the id of a parent. A page of such a list is read by an index of that column and `id`, so declare no column
   * without one. If several are given, the first one of this order is used.
   */
  parents?: readonly (keyof Filters & string)[]
  /** Conditions on `t` that a filter makes. */
  where?: (filter: FilterOf<Filters>, caller: Caller) => readonly Sql[]
}

export type Listing<Row, Filters extends FilterShape = FilterShape> = Table<Row> & {
  type: IdType
  noun: string
  description: string
  permission: Permission
  nameColumn: string
  audited: readonly string[]
  /** Names of the computed values. */
  computed: readonly string[]
  filter: z.ZodObject<Filters>
  ids: IdPaths
  /** Holds for the rows `t` that the caller may see and that a filter selects. */
  scope(caller: Caller, filter: FilterOf<Filters>): Sql
  /** The rows among these ids that the caller may see, in any order. */
  find(reader: Reader, ids: readonly string[]): Promise<Row[]>
  /** The row that the caller may see and for which a condition on a unique key of `t` holds. */
  findOne(reader: Reader, condition: Sql): Promise<Row | null>
  page(reader: Reader, filter: FilterOf<Filters>, page: PageInput): Promise<Page<Row>>
  /** The same page of many parents in one statement. */
  pagesBelow(reader: Reader, below: ListBelow<FilterOf<Filters>>, page: PageInput): Promise<Page<Row>[]>
  count(reader: Reader, filter: FilterOf<Filters>): Promise<number>
  countsBelow(reader: Reader, below: ListBelow<FilterOf<Filters>>): Promise<number[]>
  /** A slice by offset and the length of the whole list, which may differ by what changed between them. Without a limit: the rest. */
  slice(reader: Reader, filter: FilterOf<Filters>, slice: SliceInput): Promise<Slice<Row>>
}

/** The lists of many parents, each narrowed by the same filter and by a condition on `t`. */
export type ListBelow<Filter> = Pick<Below, 'parent' | 'parentIds' | 'where'> & { filter: Filter }

export function defineListing<
  const Type extends Model & IdType,
  Filters extends FilterShape = Record<never, never>,
  Row = RowOf<Type>,
  Computed extends string = never,
>(declared: Declared<Type, Filters, Computed>): Listing<Row, Filters> {
  const { type, noun, order, permission, parents = [], where = () => [] } = declared
  const table = defineTable<Type, Row>(type, declared)
  const { from } = table
  const seen = declared.visible ?? ((caller: Caller) => visible(caller, sql`t`))
  const columnBy = (name: string) => raw(`t.${columnOf(name)}`)
  const idOf = (filter: FilterOf<Filters>, name: string) => sql`${filter[name]}::uuid`
  const givenParents = (filter: FilterOf<Filters>) => parents.filter((name) => filter[name])
  const within = (caller: Caller, filter: FilterOf<Filters>, below: readonly string[], more: readonly Sql[] = []): Sql =>
    join([seen(caller), ...below.map((name) => sql`${columnBy(name)} = ${idOf(filter, name)}`), ...where(filter, caller), ...more], ' and ')
  const scope = (caller: Caller, filter: FilterOf<Filters>, more: readonly Sql[] = []): Sql =>
    within(caller, filter, givenParents(filter), more)
  const [ordered, orderBy] = order === 'newest_first' ? ['newest', sql`t.id desc`] : ['oldest', sql`t.id asc`]
  const count: Listing<Row, Filters>['count'] = async ({ tx, caller }, filter) =>
    (await rows<{ n: number }>(tx, sql`select count(*)::int as n from ${from} where ${scope(caller, filter)}`))[0]!.n

  return {
    ...table,
    type,
    noun,
    permission,
    nameColumn: declared.nameColumn ?? 'name',
    audited: declared.audited ?? [],
    computed: Object.keys(declared.computed ?? {}),
    description: declared.description ?? `${upper(noun)}s visible to the caller, ${ordered} first.`,
    filter: z.object(declared.filter ?? ({} as Filters)),
    ids: declared.ids ?? {},
    scope,
    find: (reader, ids) => table.read(reader, sql`t.id = any(${ids}::uuid[]) and ${scope(reader.caller, {})}`),
    findOne: (reader, condition) => table.lookUp(reader, sql`${condition} and ${scope(reader.caller, {})}`),
    async page(reader, filter, page) {
      const plan = planPage(type, order, page)
      const [parent, ...others] = givenParents(filter)
      const { condition, orderBy } = parent === undefined ? plan : plan.below(columnBy(parent), idOf(filter, parent))
      const all = within(reader.caller, filter, others, [condition])
      return plan.toPage(await table.read(reader, sql`${all} order by ${orderBy} limit ${plan.limit}`))
    },
    async pagesBelow(reader, { parent, parentIds, where: more = sql`true`, filter }, page) {
      const plan = planPage(type, order, page)
      const all = scope(reader.caller, filter, [more])
      return (await table.readBelow(reader, { parent, parentIds, where: all, page: plan })).map((found) => plan.toPage(found))
    },
    count,
    async countsBelow({ tx, caller }, { parent, parentIds, where: more = sql`true`, filter }) {
      const column = columnBy(parent)
      const found = await rows<{ parent: string; n: number }>(
        tx,
        sql`select ${column} as parent, count(*)::int as n from ${from}
            where ${column} = any(${parentIds}::uuid[]) and ${scope(caller, filter, [more])} group by 1`,
      )
      const counts = new Map(found.map((item) => [item.parent, item.n]))
      return parentIds.map((id) => counts.get(id) ?? 0)
    },
    async slice(reader, filter, slice) {
      const { limit, offset } = windowOf(slice)
      const found = await table.read(
        reader,
        sql`${scope(reader.caller, filter)} order by ${orderBy} limit ${limit}::bigint offset ${offset}::bigint`,
      )
      return { rows: found, total: await count(reader, filter), limit, offset }
    },
  }
}

/** A page of a listing, as a query: `projects`, or another name. */
export const listQuery = <Row, Filters extends FilterShape>(
  listing: Listing<Row, Filters>,
  name = `${lower(listing.type)}s`,
): Query<FilterOf<Filters> & PageInput, Page<Row>> =>
  defineQuery({
    ...common(listing),
    name,
    description: listing.description,
    input: listing.filter.and(pageSchema) as unknown as z.ZodType<FilterOf<Filters> & PageInput>,
    run: (read, input) => listing.page(read, input, input),
  })

/** A page of a listing of what belongs to the account of the user who is signed in, as a query: `sshKeyPage`. Other callers are refused. */
export const ownPageQuery = <Row>(listing: Listing<Row, Record<never, never>>): Query<PageInput, Page<Row>> =>
  defineQuery({
    name: `${lower(listing.type)}Page`,
    description: `${upper(listing.noun)}s of the user who is signed in.`,
    permission: null,
    ids: {},
    input: pageSchema,
    async run(read, page) {
      demandPerson(read.caller)
      return listing.page(read, {}, page)
    },
  })

/** The length of a listing, as a query: `projectCount`, or another name. */
export const countQuery = <Row, Filters extends FilterShape>(
  listing: Listing<Row, Filters>,
  name = `${lower(listing.type)}Count`,
): Query<FilterOf<Filters>, number> =>
  defineQuery({
    ...common(listing),
    name,
    description: `Number of ${listing.noun}s visible to the caller.`,
    input: listing.filter as unknown as z.ZodType<FilterOf<Filters>>,
    run: (read, filter) => listing.count(read, filter),
  })

/** A slice of a listing, as a query: `projectSlice`. */
export const sliceQuery = <Row, Filters extends FilterShape>(
  listing: Listing<Row, Filters>,
): Query<FilterOf<Filters> & SliceInput, Slice<Row>> =>
  defineQuery({
    ...common(listing),
    name: `${lower(listing.type)}Slice`,
    description: `${upper(listing.noun)}s visible to the caller by offset, with their total number.`,
    input: listing.filter.extend(sliceInput) as unknown as z.ZodType<FilterOf<Filters> & SliceInput>,
    run: (read, input) => listing.slice(read, input, input),
  })

/** One row of a listing by its id, as a query: `project`. Null when the caller sees none. */
export const findQuery = <Row>(listing: Listing<Row>): Query<{ id: string }, Row | null> =>
  defineQuery({
    ...common(listing),
    name: lower(listing.type),
    description: `${upper(listing.noun)} with the given ID. Null if it does not exist.`,
    ids: { id: listing.type },
    input: z.object({ id: z.string() }),
    run: (read, { id }) => listing.findOne(read, sql`t.id = ${id}::uuid`),
  })

/** Exactly one of an id and a slug. */
const idOrSlug = z
  .object({ id: z.string().nullish(), slug: z.string().nullish() })
  .refine((input) => Boolean(input.id) !== Boolean(input.slug), { error: 'exactly one of id and slug is required', path: ['id'] })

/** One row of a listing by its id or its slug, as a query: `project`. Null when the caller sees none. */
export const findBySlugQuery = <Row>(listing: Listing<Row>): Query<z.infer<typeof idOrSlug>, Row | null> =>
  defineQuery({
    ...common(listing),
    name: lower(listing.type),
    description: `${upper(listing.noun)} with the given ID or slug. Null if it does not exist.`,
    ids: { id: listing.type },
    input: idOrSlug,
    run: (read, { id, slug }) => listing.findOne(read, id ? sql`t.id = ${id}::uuid` : sql`t.slug = ${slug}`),
  })

const common = ({ permission, ids }: Pick<Listing<unknown>, 'permission' | 'ids'>) => ({ permission, ids })
const upper = (text: string) => text[0]!.toUpperCase() + text.slice(1)
const lower = (text: string) => text[0]!.toLowerCase() + text.slice(1)
