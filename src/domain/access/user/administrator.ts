/** Administrators of the installation. One who is not deactivated always remains: who takes one away holds a lock meanwhile. */
import { writeAudit } from '../../../platform/audit.ts'
import { row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import type { Work } from '../../../platform/work.ts'
import type { Account } from './account.ts'
import { userErrors } from './errors.ts'

/** Locks the user against others who change administrators. Throws `last_administrator` if the user is the last active one. */
export async function demandOtherAdministrator(tx: Tx, userId: string): Promise<void> {
  await lock(tx, 'administrators')
  const isLast = sql`u.is_administrator and not exists (
    select 1 from user_account o where o.is_administrator and o.deactivated_at is null and o.id <> u.id)`
  if (await row(tx, sql`select 1 as one from user_account u where u.id = ${userId}::uuid and ${isLast}`))
    throw userErrors.last_administrator()
}

/** Makes a user an administrator, or takes that back. Returns false if nothing changed. Audited as `action` in the log of the installation. */
export async function setAdministrator(work: Work, { id, email }: Account, isAdministrator: boolean, action: string): Promise<boolean> {
  const { tx } = work
  if (!isAdministrator) await demandOtherAdministrator(tx, id)
  const changed = await run(
    tx,
    sql`update user_account set is_administrator = ${isAdministrator}, version = version + 1
        where id = ${id}::uuid and is_administrator <> ${isAdministrator}`,
  )
  if (changed === 0) return false
  writeAudit(work, { action, target: { type: 'User', id, name: email } })
  work.wake('credentials')
  return true
}
