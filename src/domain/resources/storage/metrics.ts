import { row, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'

export type StorageFigures = { buckets: number; objects: number; bytes: number }

/** What the buckets of the whole installation contain, by their counters. */
export async function storageFigures({ db }: App): Promise<StorageFigures> {
  const found = await row<StorageFigures>(
    db,
    sql`select count(*)::int as buckets, coalesce(sum(object_count), 0)::float8 as objects, coalesce(sum(size_bytes), 0)::float8 as bytes from bucket`,
  )
  return found!
}
