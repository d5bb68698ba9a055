import type { Chore } from '../../../platform/claim.ts'
import { run, sql } from '../../../platform/db/index.ts'

const batch = 1_000

/** Removes speed tests that are older than SPEED_TEST_RETENTION_MS. */
export const expireSpeedTests: Chore = {
  name: 'expire speed tests',
  topic: null,
  everyMs: 60 * 60_000,
  async run(app) {
    const removed = await run(
      app.db,
      sql`delete from speed_test where id in (
            select id from speed_test where created_at < app_now() - ${app.settings.SPEED_TEST_RETENTION_MS} * interval '1 millisecond'
            order by created_at limit ${batch})`,
    )
    return removed === batch ? 'again' : undefined
  },
}
