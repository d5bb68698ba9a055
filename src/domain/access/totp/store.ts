/** What is stored of a user's one-time passwords, and using up codes. */
import type { Totp } from '../../../generated/prisma/client.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import type { Reader } from '../../../platform/listing.ts'
import type { App, Work } from '../../../platform/work.ts'
import { inOrganizations } from '../session/index.ts'
import type { Account } from '../user/index.ts'
import { hashRecoveryCode, newRecoveryCodes, newSecret, oneTimePassword, stepOf, stepSeconds } from './code.ts'

export const secretIdentity = (userId: string) => `totp:${userId}:secret`

/** Replaces the secret of a user who has not enabled one-time passwords. Null for others. */
export async function storeSecret({ app, tx }: Work, userId: string): Promise<Buffer | null> {
  const secret = newSecret()
  const sealed = await app.keyring.seal(tx, nilId, secretIdentity(userId), secret.toString('base64'))
  const stored = await run(
    tx,
    sql`insert into totp as t (user_id, secret) values (${userId}::uuid, ${sealed})
        on conflict (user_id) do update set secret = excluded.secret, last_step = 0 where t.enabled_at is null`,
  )
  return stored === 1 ? secret : null
}

export const isEnabled = async (tx: Tx, userId: string): Promise<boolean> =>
  (await row(tx, sql`select 1 as one from totp where user_id = ${userId}::uuid and enabled_at is not null`)) !== null

/** Whether each of several users has enabled one-time passwords. */
export async function enabledByUser({ tx }: Pick<Reader, 'tx'>, userIds: readonly string[]): Promise<boolean[]> {
  const found = await rows<{ userId: string }>(
    tx,
    sql`select user_id from totp where user_id = any(${userIds}::uuid[]) and enabled_at is not null`,
  )
  const enabled = new Set(found.map(({ userId }) => userId))
  return userIds.map((id) => enabled.has(id))
}

type Stored = Pick<Totp, 'secret' | 'lastStep' | 'enabledAt'> & { step: number }

/** The stored secret, and the current step by the clock that all processes share. */
export const storedTotp = (tx: Tx, userId: string): Promise<Stored | null> =>
  row(
    tx,
    sql`select secret, last_step, enabled_at, floor(extract(epoch from app_now()) / ${stepSeconds})::int as step
        from totp where user_id = ${userId}::uuid`,
  )

/** Uses up a one-time password or a recovery code. False if it is wrong or was used: of parallel requests with one code, one succeeds. */
export async function useCode(app: App, tx: Tx, userId: string, code: string): Promise<boolean> {
  const password = oneTimePassword(code)
  if (password === null) return useRecoveryCode(tx, userId, code)
  const stored = await storedTotp(tx, userId)
  if (!stored) return false
  const secret = Buffer.from(await app.keyring.open(tx, nilId, secretIdentity(userId), stored.secret), 'base64')
  const step = stepOf(secret, password, stored.step, stored.lastStep)
  if (step === null) return false
  return (await run(tx, sql`update totp set last_step = ${step} where user_id = ${userId}::uuid and last_step < ${step}`)) === 1
}

const useRecoveryCode = async (tx: Tx, userId: string, code: string): Promise<boolean> =>
  (await run(tx, sql`delete from recovery_code where user_id = ${userId}::uuid and hash = ${hashRecoveryCode(code)}`)) === 1

/** Enables one-time passwords, and returns the recovery codes. */
export async function enable(tx: Tx, userId: string): Promise<string[]> {
  const codes = newRecoveryCodes()
  await run(tx, sql`update totp set enabled_at = app_now() where user_id = ${userId}::uuid`)
  await run(tx, sql`delete from recovery_code where user_id = ${userId}::uuid`)
  for (const code of codes)
    await run(tx, sql`insert into recovery_code (user_id, hash) values (${userId}::uuid, ${hashRecoveryCode(code)})`)
  return codes
}

/** Also forgets the secret and the recovery codes. */
export async function disable(tx: Tx, userId: string): Promise<void> {
  await run(tx, sql`delete from totp where user_id = ${userId}::uuid`)
  await run(tx, sql`delete from recovery_code where user_id = ${userId}::uuid`)
}

/** The operator disables the one-time passwords of a user who has lost them. Audited in each organization of the user. */
export async function forgetTotp(work: Work, { id, name, email }: Pick<Account, 'id' | 'name' | 'email'>): Promise<void> {
  await disable(work.tx, id)
  await inOrganizations(work, { id, name }, (own) =>
    writeAudit(own, { action: 'disableTotpByOperator', target: { type: 'User', id, name: email } }),
  )
}
