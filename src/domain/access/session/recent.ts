import { row, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { sessionErrors } from './errors.ts'

const recentMinutes = 10

/**
 * For changes of how a user signs in. Throws `login_not_recent` unless the session of the request began a moment ago, so that a token that
 * was stolen from a session opens no lasting way in. What has no session is not a request of a client.
 */
export async function demandRecentLogin({ tx, caller }: Work): Promise<void> {
  if (caller.sessionId === null) return
  const since = sql`app_now() - ${recentMinutes} * interval '1 minute'`
  const recent = await row(tx, sql`select 1 as one from session where id = ${caller.sessionId}::uuid and created_at > ${since}`)
  if (!recent) throw sessionErrors.login_not_recent()
}
