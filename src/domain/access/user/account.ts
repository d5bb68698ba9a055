/** What signing in needs of users: their accounts by address, new accounts, and their passwords. */
import { z } from 'zod'
import type { User } from '../../../generated/prisma/client.ts'
import { newRow, row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import { parseMailbox } from '../mail/index.ts'

export type Account = Pick<User, 'id' | 'email' | 'name' | 'passwordHash'>

/** An email address of an account, in the form that is stored: in lower case. */
export const emailSchema = z.string().transform((text, context) => {
  const mailbox = parseMailbox(text.trim().toLowerCase())
  if (mailbox?.name === '') return mailbox.address
  context.addIssue({ code: 'custom', message: 'must be an email address, such as ada@example.com' })
  return z.NEVER
})

const account = sql`id, email, name, password_hash`

export const accountOf = (tx: Tx, email: string): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where email = ${email}`)

/** With a lock against other changes of the account. */
export const lockAccount = (tx: Tx, userId: string): Promise<Account | null> =>
  row(tx, sql`select ${account} from user_account where id = ${userId}::uuid for no key update`)

/** Null if the address has an account. */
export const createAccount = (tx: Tx, { email, name, passwordHash }: Omit<Account, 'id'>): Promise<Account | null> =>
  row(
    tx,
    sql`insert into user_account ${newRow({ id: newId(), email, name, passwordHash })} on conflict (email) do nothing returning ${account}`,
  )

export const setPasswordHash = (tx: Tx, userId: string, passwordHash: string): Promise<number> =>
  run(tx, sql`update user_account set password_hash = ${passwordHash}, version = version + 1 where id = ${userId}::uuid`)

/** Replaces the hash by another one of the same password, which is no change of the account. */
export const renewPasswordHash = (tx: Tx, { id, passwordHash }: Account, renewed: string): Promise<number> =>
  run(tx, sql`update user_account set password_hash = ${renewed} where id = ${id}::uuid and password_hash = ${passwordHash}`)
