/** What signing in needs of users: their accounts by address, new accounts, and their passwords. */
import type { User } from '../../../generated/prisma/client.ts'
import { newRow, row, run, sql, type Tx } from '../../../platform/db/index.ts'

export type Account = Pick<User, 'id' | 'email' | 'name' | 'passwordHash' | 'version'>

const account = sql`id, email, name, password_hash, version`

export const accountOf = (tx: Tx, email: string): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where email = ${email}`)

export const accountById = (tx: Tx, userId: string): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where id = ${userId}::uuid`)

/** With a lock against other changes of the account. */
export const lockAccount = (tx: Tx, userId: string): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where id = ${userId}::uuid for no key update`)

/** The account, if it has not changed since it was read, with a lock against changes. Null otherwise. */
export const unchangedAccount = (tx: Tx, { id, version }: Account): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where id = ${id}::uuid and version = ${version} for share`)

type NewAccount = Pick<Account, 'id' | 'email' | 'name' | 'passwordHash'>

/** Null if the address has an account. */
export const createAccount = (tx: Tx, { id, email, name, passwordHash }: NewAccount): Promise<Account | null> =>
  row(
    tx,
    sql`insert into user_account ${newRow({ id, email, name, passwordHash })}
        on conflict (email) do nothing returning ${account}`,
  )

export const setPasswordHash = (tx: Tx, userId: string, passwordHash: string): Promise<number> =>
  run(tx, sql`update user_account set password_hash = ${passwordHash}, version = version + 1 where id = ${userId}::uuid`)

/** Replaces the hash by another one of the same password, which is no change of the account. */
export const renewPasswordHash = (tx: Tx, { id, passwordHash }: Account, renewed: string): Promise<number> =>
  run(tx, sql`update user_account set password_hash = ${renewed} where id = ${id}::uuid and password_hash = ${passwordHash}`)
