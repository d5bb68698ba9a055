/**
 * The limit on reveals: a number a minute for each principal, and for each person with all of their keys together. Counted in the
 * database, so that all processes count together.
 */
import { type Caller, principalOf } from '../../../platform/access.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'

/** A key counts for itself and for its person; a person who reveals without a key is both. */
const countedFor = (caller: Caller): string[] =>
  [...new Set([principalOf(caller), ...(caller.userId ? [`user:${caller.userId}`] : [])])].sort()

/** One that begins in the future was begun before the database's clock was set back, and would lock out until then. */
const isOver = sql`(a.window_start <= app_now() - interval '1 minute' or a.window_start > app_now())`

/** Counts one reveal. Throws `rate_limited`; a refused reveal is not counted. */
export async function countReveal(work: Work): Promise<void> {
  const limit = work.app.settings.REVEALS_PER_MINUTE
  const counted = await row<{ used: number; retryAfterS: number }>(
    work.tx,
    sql`with counted as (
          insert into reveal_allowance as a (principal, window_start, used)
          select p.principal, app_now(), 1 from unnest(${countedFor(work.caller)}::text[]) with ordinality as p(principal, n) order by p.n
          on conflict (principal) do update set
            used = case when ${isOver} then 1 else a.used + 1 end,
            window_start = case when ${isOver} then app_now() else a.window_start end
          returning used, ceil(extract(epoch from window_start + interval '1 minute' - app_now()))::int as retry_after_s)
        select used, retry_after_s from counted order by (used > ${limit}) desc, retry_after_s desc limit 1`,
  )
  if (counted!.used > limit) {
    throw errors.rate_limited({
      text: `At most ${limit} reveals per minute are allowed. Retry later.`,
      details: { limit, retryAfterSeconds: Math.max(1, counted!.retryAfterS) },
    })
  }
}
