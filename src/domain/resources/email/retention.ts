import type { Chore } from '../../../platform/claim.ts'
import { run, sql } from '../../../platform/db/index.ts'

const batch = 1_000

/** Removes messages by age, and counters that no window is asked for any more. */
export const expireEmailMessages: Chore = {
  name: 'expire email messages',
  topic: null,
  everyMs: 60 * 60_000,
  async run(app) {
    const age = (ms: number) => sql`app_now() - ${ms} * interval '1 millisecond'`
    const removed = await run(
      app.db,
      sql`delete from email_message where id in (
            select id from email_message where created_at < ${age(app.settings.MAIL_RETENTION_MS)} order by created_at limit ${batch})`,
    )
    await run(app.db, sql`delete from email_count where hour < app_now() - interval '400 days'`)
    await run(app.db, sql`delete from email_usage where day < (app_now() - interval '400 days')::date`)
    await run(app.db, sql`delete from sandbox_code_count where since < app_now() - interval '24 hours'`)
    return removed === batch ? 'again' : undefined
  },
}
