import type { Chore } from '../../../platform/claim.ts'
import { run, sql } from '../../../platform/db/index.ts'

/** Removes sessions that were not used for SESSION_EXPIRY. */
export const expireSessions: Chore = {
  name: 'expire sessions',
  topic: null,
  everyMs: 3_600_000,
  async run(app) {
    await run(app.db, sql`delete from session where expires_at <= app_now()`)
  },
}
