/** Removes the counts of those who have not used anything for a while. */
import type { Chore } from '../claim.ts'
import { run, sql } from '../db/index.ts'

export const expireRateLimits: Chore = {
  name: 'expire rate limits',
  topic: null,
  everyMs: 10 * 60_000,
  async run(app) {
    // A time in the future dates from before the database's clock was set back.
    await run(app.db, sql`delete from rate_limit where abs(extract(epoch from app_now() - since)) > 600`)
  },
}
