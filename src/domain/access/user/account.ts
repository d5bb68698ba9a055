/** What signing in needs of users: their accounts by address, new accounts, and their passwords. */
import type { User } from '../../../generated/prisma/client.ts'
import { newRow, row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { userErrors } from './errors.ts'

export type Account = Pick<User, 'id' | 'email' | 'name' | 'passwordHash' | 'deactivatedAt' | 'version'>

const account = sql`id, email, name, password_hash, deactivated_at, version`

export const accountOf = (tx: Tx, email: string): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where email = ${email}`)

export const accountById = (tx: Tx, userId: string): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where id = ${userId}::uuid`)

/** With a lock against other changes of the account. */
export const lockAccount = (tx: Tx, userId: string): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where id = ${userId}::uuid for no key update`)

/** The account, if it has not changed since it was read, with a lock against changes. Null otherwise. */
export const unchangedAccount = (tx: Tx, { id, version }: Account): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where id = ${id}::uuid and version = ${version} for no key update`)

type NewAccount = Pick<Account, 'id' | 'email' | 'name' | 'passwordHash'>

/** Null if the address has an account. */
export const createAccount = (tx: Tx, { id, email, name, passwordHash }: NewAccount): Promise<Account | null> =>
  row(
    tx,
    sql`insert into user_account ${newRow({ id, email, name, passwordHash })}
        on conflict (email) do nothing returning ${account}`,
  )

/** Records that a user showed that the address is theirs. */
export const markVerified = (tx: Tx, userId: string): Promise<number> =>
  run(tx, sql`update user_account set email_verified_at = coalesce(email_verified_at, app_now()) where id = ${userId}::uuid`)

/** Records a login. Throws `user_deactivated` for a user who was deactivated, also by a transaction that commits meanwhile. */
export async function noteLogin(tx: Tx, userId: string): Promise<void> {
  const noted = await run(tx, sql`update user_account set last_login_at = app_now() where id = ${userId}::uuid and deactivated_at is null`)
  if (noted === 0) throw userErrors.user_deactivated()
}

export const setPasswordHash = (tx: Tx, userId: string, passwordHash: string): Promise<number> =>
  run(tx, sql`update user_account set password_hash = ${passwordHash}, version = version + 1 where id = ${userId}::uuid`)

/** Replaces the hash by another one of the same password, which is no change of the account. */
export const renewPasswordHash = (tx: Tx, { id, passwordHash }: Account, renewed: string): Promise<number> =>
  run(tx, sql`update user_account set password_hash = ${renewed} where id = ${id}::uuid and password_hash = ${passwordHash}`)

/** Whether the user and their API keys have access. */
export const setDeactivated = (tx: Tx, userId: string, isDeactivated: boolean): Promise<number> =>
  run(
    tx,
    sql`update user_account set deactivated_at = ${isDeactivated ? sql`app_now()` : sql`null`}, version = version + 1 where id = ${userId}::uuid`,
  )
