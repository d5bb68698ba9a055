import { writeAudit } from '../../../platform/audit.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { type App, transact } from '../../../platform/work.ts'
import type { Account } from '../user/index.ts'
import type { Attempt } from './attempt.ts'
import { userLocked } from './events.ts'
import { inOrganizations, personOf } from './model.ts'

/**
 * Records an attempt that failed in the audit log of each organization of the user, and that the account is locked if it is now. Of an unknown
 * account, not even the address is recorded.
 */
export async function recordFailure(
  app: App,
  account: Pick<Account, 'id' | 'email' | 'name'> | null,
  { failures, lockedUntil }: Pick<Attempt, 'failures' | 'lockedUntil'>,
  { action, reason }: { action: string; reason: string },
  requestId: string | null,
): Promise<void> {
  if (!account) return app.log.info({ requestId, reason: 'unknown account' }, 'a login failed')
  await transact(app, personOf(account, null), { requestId: requestId ?? undefined, emits: [userLocked] }, (work) =>
    inOrganizations(work, account, async (own) => {
      const target = { type: 'User', id: account.id, name: account.email } as const
      writeAudit(own, { action, outcome: 'FAILED', target, details: { reason, failures } })
      if (!lockedUntil) return
      const data = { userId: encodeId('User', account.id), failures, lockedUntil: lockedUntil.toISOString() }
      await publish(own, userLocked, { subjectId: account.id, projectId: null, data })
    }),
  )
}
