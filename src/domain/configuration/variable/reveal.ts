/**
 * What every reveal does: it counts against the caller's limit and marks the revealed rows, in the transaction that reads the values.
 * The command adds an event and an audit row. If one of these can't be written, no value is returned. Rows are locked in one order:
 * project, service, revealed rows by id, allowance.
 */
import { type Caller, principalOf } from '../../../platform/access.ts'
import { unstamped } from '../../../platform/db/constraints.ts'
import { raw, row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'

export type RevealedValue = { key: string; value: string }

/** Marks rows of a table as revealed and returns them. `updated_at` is kept, because a reveal is not a change. */
export async function markRevealed<Row>(work: Work, table: string, ids: readonly string[]): Promise<Row[]> {
  const stamping = (value: 'on' | 'off') => run(work.tx, sql`select set_config(${unstamped}, ${value}, true)`)
  await stamping('on')
  const marked = await rows<Row>(
    work.tx,
    sql`with locked as (select id from ${raw(table)} where id = any(${ids}::uuid[]) order by id for update)
        update ${raw(table)} t set last_revealed_at = app_now(), last_revealed_by = ${work.caller.subject.name}
        from locked where t.id = locked.id returning t.*`,
  )
  await stamping('off')
  return marked
}

/** Reveals by a key count for the key and for its user, so that more keys don't allow more reveals. */
const countedFor = (caller: Caller): string[] =>
  [...new Set([principalOf(caller), ...(caller.userId ? [`user:${caller.userId}`] : [])])].sort()

/** A window that begins in the future dates from before the database's clock was set back, and would block reveals until then. */
const isOver = sql`(a.window_start <= app_now() - interval '1 minute' or a.window_start > app_now())`

/**
 * Counts one reveal against the limit per minute. Throws `rate_limited`; a refused reveal is not counted. The count is kept in the
 * database, so that it holds across processes.
 */
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
