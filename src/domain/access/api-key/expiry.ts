/** Tells that keys have expired. They have stopped working by themselves. */
import type { ApiKey } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { writeAudit } from '../../../platform/audit.ts'
import type { Chore } from '../../../platform/claim.ts'
import { row, rows, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { createFailureLog } from '../../../platform/failure-log.ts'
import { perApp } from '../../../platform/per-app.ts'
import { type App, transact } from '../../../platform/work.ts'
import { apiKeyExpired, eventOf } from './events.ts'

const batch = 100

const due = sql`expires_at <= app_now() and expired_at is null and revoked_at is null`

/** Publishes `api_key.expired` once for each key that has expired and was not revoked before. */
export const announceExpiry: Chore = {
  name: 'announce the expiry of API keys',
  emits: [apiKeyExpired],
  topic: null,
  everyMs: 10_000,
  async run(app, signal) {
    const keys = await rows<Pick<ApiKey, 'id' | 'organizationId'>>(
      app.db,
      sql`select id, organization_id from api_key where ${due} order by expires_at limit ${batch}`,
    )
    let announced = 0
    for (const key of keys) {
      if (signal.aborted) return
      if (await announce(app, key)) announced++
    }
    if (announced === batch) return 'again'
  },
}

const failuresOf = perApp((app) =>
  createFailureLog(app, {
    failed: 'the expiry of an API key could not be announced; it is tried again',
    recovered: 'the expiry of API keys is announced again',
  }),
)

/** A key whose event is refused, for example by the quota of its organization, does not delay the others. */
async function announce(app: App, { id, organizationId }: Pick<ApiKey, 'id' | 'organizationId'>): Promise<boolean> {
  const failures = failuresOf(app)
  try {
    await transact(app, systemCaller(organizationId), { emits: [apiKeyExpired] }, async (work) => {
      const apiKey = await row<ApiKey>(
        work.tx,
        sql`update api_key set expired_at = expires_at where id = ${id}::uuid and ${due} returning *`,
      )
      if (!apiKey) return
      await publish(work, apiKeyExpired, eventOf(apiKey))
      writeAudit(work, { action: 'apiKey.expire', target: { type: 'ApiKey', id, name: apiKey.name } })
    })
    failures.succeeded(organizationId)
    return true
  } catch (error) {
    // An outage of the database concerns all keys.
    if (failures.failed(error, { apiKeyId: id }, organizationId)) throw error
    return false
  }
}
