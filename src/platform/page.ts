/**
 * Pages by key: a cursor is the id of a row, and lists are ordered by id (creation order), forwards or backwards. One lateral
 * query serves the page of every parent at once, each with its own LIMIT.
 */
import { z } from 'zod'
import { join, row, rows, type Sql, sql, type Tx } from './db/index.ts'
import { errors } from './errors.ts'
import { encodeId, type IdType, parseTypeId } from './id.ts'

export const maxPage = 100
export const defaultPage = 50

/** Relay's paging arguments as a caller gives them. */
const pageInput = {
  first: z.number().int().min(1).max(maxPage).nullish(),
  last: z.number().int().min(1).max(maxPage).nullish(),
  after: z.string().nullish(),
  before: z.string().nullish(),
}
export const pageSchema = z.object(pageInput).superRefine(({ first, last }, context) => {
  if (first && last) context.addIssue({ code: 'custom', path: ['first'], message: 'must not be combined with last' })
})
export type PageInput = z.infer<typeof pageSchema>

/** Newest first for what piles up (deployments, messages), oldest first for what is arranged (projects, services). */
export type PageOrder = 'newest_first' | 'oldest_first'

export type Page<Row> = { rows: Row[]; hasNextPage: boolean; hasPreviousPage: boolean }

export type Listing = {
  /** What is listed; a cursor is the id of one. */
  type: IdType
  /** `select` list and `from`, with `t` as the alias of the listed table: sql`t.* from project t`. */
  select: Sql
  where: Sql
  order: PageOrder
}

/** The cursor of a row is its TypeID. */
export const cursorOf = (type: IdType, row: { id: string }): string => encodeId(type, row.id)

function cursorId(type: IdType, text: string | null | undefined, field: string): string | null {
  if (text === null || text === undefined) return null
  const parsed = parseTypeId(text)
  if (parsed?.type !== type) throw errors.invalid_input({ field, text: `${field}: must be a cursor of this list` })
  return parsed.uuid
}

type Plan = { condition: Sql; orderBy: Sql; limit: number; backwards: boolean; page: PageInput }

function plan(page: PageInput, { type, order }: Listing): Plan {
  const backwards = page.last !== undefined && page.last !== null
  const limit = page.last ?? page.first ?? defaultPage
  const after = cursorId(type, page.after, 'after')
  const before = cursorId(type, page.before, 'before')
  const newest = order === 'newest_first'
  const conditions = [
    ...(after ? [newest ? sql`t.id < ${after}::uuid` : sql`t.id > ${after}::uuid`] : []),
    ...(before ? [newest ? sql`t.id > ${before}::uuid` : sql`t.id < ${before}::uuid`] : []),
  ]
  const orderBy = newest !== backwards ? sql`t.id desc` : sql`t.id asc`
  return { condition: conditions.length > 0 ? join(conditions, ' and ') : sql`true`, orderBy, limit, backwards, page }
}

function toPage<Row>(found: Row[], { limit, backwards, page }: Plan): Page<Row> {
  const more = found.length > limit
  const kept = more ? found.slice(0, limit) : found
  return backwards
    ? { rows: kept.reverse(), hasNextPage: Boolean(page.before), hasPreviousPage: more }
    : { rows: kept, hasNextPage: more, hasPreviousPage: Boolean(page.after) }
}

/** One page of a list; reads one row more than asked, to know whether there is a next one. */
export async function pageOf<Row>(tx: Tx, listing: Listing, page: PageInput): Promise<Page<Row>> {
  const p = plan(page, listing)
  const found = await rows<Row>(
    tx,
    sql`select ${listing.select} where ${listing.where} and ${p.condition} order by ${p.orderBy} limit ${p.limit + 1}`,
  )
  return toPage(found, p)
}

/** The same page for many parents in one statement. `parent` is the column of `t` that names the parent. */
export async function pagesByParent<Row>(
  tx: Tx,
  listing: Listing,
  parent: Sql,
  parentIds: readonly string[],
  page: PageInput,
): Promise<Page<Row>[]> {
  const p = plan(page, listing)
  const found = await rows<Row & { parentKey: string }>(
    tx,
    sql`select p.id as parent_key, l.* from unnest(${[...new Set(parentIds)]}::uuid[]) as p(id) cross join lateral (
          select ${listing.select} where ${parent} = p.id and ${listing.where} and ${p.condition} order by ${p.orderBy} limit ${p.limit + 1}) l`,
  )
  const byParent = Map.groupBy(found, (item) => item.parentKey)
  return parentIds.map((id) => toPage<Row>(byParent.get(id) ?? [], p))
}

export async function countOf(tx: Tx, listing: Listing): Promise<number> {
  const counted = await row<{ n: number }>(tx, sql`select count(*)::int as n from (select ${listing.select} where ${listing.where}) c`)
  return counted?.n ?? 0
}

export async function countsByParent(tx: Tx, listing: Listing, parent: Sql, parentIds: readonly string[]): Promise<number[]> {
  const found = await rows<{ parentKey: string; n: number }>(
    tx,
    sql`select c.parent_key, count(*)::int as n
        from (select ${parent} as parent_key, ${listing.select} where ${parent} = any(${parentIds}::uuid[]) and ${listing.where}) c group by 1`,
  )
  const counts = new Map(found.map((item) => [item.parentKey, item.n]))
  return parentIds.map((id) => counts.get(id) ?? 0)
}

/** Paging by offset, for doors whose contract has it. Without a limit: everything from the offset on. */
export const sliceInput = {
  limit: z
    .number()
    .int()
    .min(1, { error: 'must be at least 1' })
    .max(maxPage, { error: `must be at most ${maxPage}` })
    .nullish(),
  offset: z.number().int().min(0, { error: 'must be at least 0' }).nullish(),
}
export type SliceInput = { limit?: number | null; offset?: number | null }

export type Slice<Row> = { rows: Row[]; total: number }

/** One slice of a list and the length of the whole; the two may differ by what changed between them. */
export async function sliceOf<Row>(tx: Tx, listing: Listing, { limit, offset }: SliceInput): Promise<Slice<Row>> {
  const orderBy = listing.order === 'newest_first' ? sql`t.id desc` : sql`t.id asc`
  const found = await rows<Row>(
    tx,
    sql`select ${listing.select} where ${listing.where} order by ${orderBy} limit ${limit ?? null}::bigint offset ${offset ?? 0}::bigint`,
  )
  return { rows: found, total: await countOf(tx, listing) }
}

/** The same of a list that has been read as a whole. */
export const sliceFrom = <Row>(all: readonly Row[], { limit, offset }: SliceInput): Slice<Row> => {
  const start = offset ?? 0
  return { rows: all.slice(start, start + (limit ?? all.length)), total: all.length }
}
