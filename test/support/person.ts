/** People who can sign in. */
import { login, type SignedIn } from '../../src/domain/access/session/index.ts'
import { hashPassword, setPasswordHash } from '../../src/domain/access/user/index.ts'
import type { Caller } from '../../src/platform/access.ts'
import { row, sql } from '../../src/platform/db/index.ts'
import type { App } from '../../src/platform/work.ts'

export const password = 'correct horse battery'

let hash: Promise<string> | undefined

/** Gives the user of a tenant the password, and returns the email address. */
export async function withPassword(app: App, { userId }: Caller): Promise<string> {
  hash ??= hashPassword(password)
  await setPasswordHash(app.db, userId!, await hash)
  return (await row<{ email: string }>(app.db, sql`select email from user_account where id = ${userId}::uuid`))!.email
}

/** Signs the user of a tenant in. */
export async function signIn(app: App, caller: Caller): Promise<SignedIn> {
  return (await login(app, { email: await withPassword(app, caller), password }, 'test')) as SignedIn
}
