/**
 * Pages by key: a cursor is the id of a row, and lists are ordered by id (creation order), forwards or backwards. What a page asks of
 * the database, and what the rows it returns are worth; listings make statements of it.
 */
import { z } from 'zod'
import { join, type Sql, sql } from './db/index.ts'
import { errors } from './errors.ts'
import { encodeId, type IdType, parseTypeId } from './id.ts'

export const maxPage = 100
export const defaultPage = 50

/** Relay's paging arguments, not yet validated, and the id of the row to start after, for doors whose cursors contain plain ids. */
const pageInput = {
  first: z.number().int().min(1).max(maxPage).nullish(),
  last: z.number().int().min(1).max(maxPage).nullish(),
  after: z.string().nullish(),
  before: z.string().nullish(),
  afterId: z.uuid({ error: 'must be a cursor of this list' }).nullish(),
}
export const pageSchema = z.object(pageInput).superRefine(({ first, last }, context) => {
  if (first && last) context.addIssue({ code: 'custom', path: ['first'], message: 'must not be combined with last' })
})
/** For lists that are read forwards only, by doors whose cursors contain plain ids. */
export const forwardInput = { first: pageInput.first, afterId: pageInput.afterId }

export type PageInput = z.infer<typeof pageSchema>

/** Newest first for records that accumulate (deployments, messages), oldest first for objects that users manage (projects, services). */
export type PageOrder = 'newest_first' | 'oldest_first'

export type Page<Row> = { rows: Row[]; hasNextPage: boolean; hasPreviousPage: boolean }

/** The cursor of a row is its TypeID. */
export const cursorOf = (type: IdType, row: { id: string }): string => encodeId(type, row.id)

function cursorId(type: IdType, text: string | null | undefined, field: string): string | null {
  if (text === null || text === undefined) return null
  const parsed = parseTypeId(text)
  if (parsed?.type !== type) throw errors.invalid_input({ field, text: `${field}: must be a cursor of this list` })
  return parsed.uuid
}

/** A page as parts of a statement that has the listed table as `t`. */
export type PagePlan = {
  condition: Sql
  orderBy: Sql
  /**
   * Condition and order of the page of a parent, whose id `parentId` is in a column. The order names both columns of the index that has them
   * in this order: for a parent with few rows, the planner would otherwise read all rows in the order of their ids. The parent is given as a
   * range, because the planner ignores an order by a column that equals something, and overestimates a range of both columns so much that it
   * reads all rows of each parent by another index.
   */
  below(column: Sql, parentId: Sql): { condition: Sql; orderBy: Sql }
  /** One row more than the page has, which shows whether another page follows. */
  limit: number
  toPage<Row>(found: Row[]): Page<Row>
}

/** Throws `invalid_input` for a cursor of another list. */
export function planPage(type: IdType, order: PageOrder, page: PageInput): PagePlan {
  const backwards = page.last !== undefined && page.last !== null
  const size = page.last ?? page.first ?? defaultPage
  const after = page.afterId ?? cursorId(type, page.after, 'after')
  const before = cursorId(type, page.before, 'before')
  const newest = order === 'newest_first'
  const [above, under] = newest ? [before, after] : [after, before]
  const conditions = [...(above ? [sql`t.id > ${above}::uuid`] : []), ...(under ? [sql`t.id < ${under}::uuid`] : [])]
  const direction = newest !== backwards ? sql`desc` : sql`asc`
  return {
    condition: conditions.length > 0 ? join(conditions, ' and ') : sql`true`,
    orderBy: sql`t.id ${direction}`,
    below: (column, parentId) => ({
      condition: join(
        [
          sql`${column} >= ${parentId} and ${column} <= ${parentId}`,
          ...(above ? [sql`(${column}, t.id) > (${parentId}, ${above}::uuid)`] : []),
          ...(under ? [sql`(${column}, t.id) < (${parentId}, ${under}::uuid)`] : []),
        ],
        ' and ',
      ),
      orderBy: sql`${column} ${direction}, t.id ${direction}`,
    }),
    limit: size + 1,
    toPage(found) {
      const more = found.length > size
      const kept = more ? found.slice(0, size) : found
      return backwards
        ? { rows: kept.reverse(), hasNextPage: Boolean(page.before), hasPreviousPage: more }
        : { rows: kept, hasNextPage: more, hasPreviousPage: after !== null }
    },
  }
}

/**
 * Paging by offset, or by the number of a page with `limit` items, for doors whose contract requires it. Without a limit, returns everything
 * from the offset on.
 */
export const sliceInput = {
  limit: z
    .number()
    .int()
    .min(1, { error: 'must be at least 1' })
    .max(maxPage, { error: `must be at most ${maxPage}` })
    .nullish(),
  offset: z.number().int().min(0, { error: 'must be at least 0' }).nullish(),
  page: z.int32().min(1, { error: 'must be at least 1' }).nullish(),
}
export type SliceInput = { limit?: number | null; offset?: number | null; page?: number | null }

/** `limit` and `offset` are those that the slice was read with. */
export type Slice<Row> = { rows: Row[]; total: number; limit: number | null; offset: number }

export const windowOf = ({ limit = null, offset, page }: SliceInput): Pick<Slice<never>, 'limit' | 'offset'> => ({
  limit,
  offset: offset ?? ((page ?? 1) - 1) * (limit ?? 0),
})

/** A slice of a list that has been read as a whole. */
export const sliceFrom = <Row>(all: readonly Row[], slice: SliceInput): Slice<Row> => {
  const { limit, offset } = windowOf(slice)
  return { rows: all.slice(offset, offset + (limit ?? all.length)), total: all.length, limit, offset }
}
