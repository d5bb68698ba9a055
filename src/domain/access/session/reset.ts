/**
 * Forgotten passwords. A request is only stored; whether the address has an account is found out later by a job, so that the answer and its
 * time say nothing about it. The token that is mailed is stored as a hash and can be used once.
 */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { systemCaller } from '../../../platform/access.ts'
import { writeAudit } from '../../../platform/audit.ts'
import type { Chore } from '../../../platform/claim.ts'
import { row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { currentOrigin, networkOf } from '../../../platform/forwarded.ts'
import { newId, nilId } from '../../../platform/id.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { addressSchema, apiEndpoint, queuePlatformMail } from '../mail/index.ts'
import {
  type Account,
  accountOf,
  demandAcceptable,
  hashPassword,
  markVerified,
  passwordSchema,
  setPasswordHash,
  tellUser,
} from '../user/index.ts'
import { clearAttempts, demandWithinLimit, isWithinLimit } from './attempt.ts'
import { sessionErrors } from './errors.ts'
import { sessionRevoked } from './events.ts'
import { passwordlessLogins } from './factor.ts'
import { inOrganizations, personOf } from './model.ts'
import { hashToken } from './refresh-token.ts'
import { endSessions } from './session.ts'

export const resetRequestInput = z.object({ email: addressSchema })
export const resetInput = z.object({ token: z.string().min(1).max(200), password: passwordSchema })

const topic = 'password-resets'
const validMinutes = 30

/** Stores the request. Throws `login_locked` if too many came from the client's address; too many for one account are ignored. */
export async function requestReset(app: App, { email }: z.infer<typeof resetRequestInput>): Promise<void> {
  const { address } = currentOrigin() ?? {}
  if (address !== undefined) await demandWithinLimit(app, 'reset_address', networkOf(address))
  if (!(await isWithinLimit(app, 'reset_account', email))) return
  await run(
    app.db,
    sql`insert into password_reset (id, email, expires_at)
        values (${newId()}::uuid, ${email}, app_now() + ${validMinutes} * interval '1 minute')`,
  )
  app.wake.notify(topic)
}

/** Mails a link to each address that a reset was requested for and that has an account. */
export const mailResets: Chore = {
  name: 'mail password resets',
  topic,
  everyMs: 60_000,
  async run(app) {
    await run(app.db, sql`delete from password_reset where expires_at <= app_now()`)
    const isDone = await transact(app, systemCaller(nilId), {}, mailNext)
    return isDone ? undefined : 'again'
  },
}

/** Returns whether no request was left. */
async function mailNext(work: Work): Promise<boolean> {
  const { app, tx } = work
  const request = await row<{ id: string; email: string }>(
    tx,
    sql`select id, email from password_reset where user_id is null order by id limit 1 for update skip locked`,
  )
  if (!request) return true
  const account = await accountOf(tx, request.email)
  if (account && !account.deactivatedAt) await mailLink(work, request.id, account)
  else {
    await run(tx, sql`delete from password_reset where id = ${request.id}::uuid`)
    app.log.info('a password reset was requested for an address that has no active account')
  }
  return false
}

async function mailLink(work: Work, id: string, { id: userId, email, name }: Account): Promise<void> {
  const { app, tx } = work
  const token = randomBytes(32).toString('base64url')
  await run(tx, sql`update password_reset set user_id = ${userId}::uuid, token_hash = ${hashToken(token)} where id = ${id}::uuid`)
  // In the fragment, which browsers do not send, so that it appears in no log.
  const link = `${apiEndpoint.use(app).url}/login#reset=${token}`
  await queuePlatformMail(work, {
    organizationId: null,
    purpose: 'password_reset',
    ref: id,
    to: [email],
    subject: 'Reset your password for Quayside',
    body: {
      paragraphs: [
        `Hello ${name},`,
        'a new password was requested for your account. To choose one, open this link:',
        link,
        `It can be used once, within ${validMinutes} minutes. If you did not request it, ignore this mail: your password stays as it is.`,
      ],
    },
  })
}

/** Sets a new password by the token of a mail. Throws `reset_invalid`. */
export async function resetPassword(app: App, { token, password }: z.infer<typeof resetInput>, requestId: string): Promise<void> {
  const hash = hashToken(token)
  const user = await row<Pick<Account, 'id' | 'email' | 'name'>>(
    app.db,
    sql`select u.id, u.email, u.name from password_reset r join user_account u on u.id = r.user_id
        where r.token_hash = ${hash} and r.expires_at > app_now() and u.deactivated_at is null`,
  )
  if (!user) throw sessionErrors.reset_invalid()
  await demandAcceptable(password, user.email, 'password')
  const passwordHash = await hashPassword(password)
  await transact(app, personOf(user, null), { requestId, emits: [sessionRevoked] }, async (work) => {
    const used = await run(work.tx, sql`delete from password_reset where token_hash = ${hash} and expires_at > app_now()`)
    if (used === 0) throw sessionErrors.reset_invalid()
    await markVerified(work.tx, user.id)
    await replacePassword(work, user, passwordHash, 'resetPassword')
  })
}

/**
 * Sets a password without the former one. Whatever gave access before ends: sessions, passkeys, other links, and a lock of the account. A
 * second factor remains, so that reading somebody's mail is not enough to sign in. The user is told by mail. Audited as `action`.
 */
export async function replacePassword(
  work: Work,
  user: Pick<Account, 'id' | 'email' | 'name'>,
  passwordHash: string,
  action: string,
): Promise<void> {
  const { app, tx } = work
  await setPasswordHash(tx, user.id, passwordHash)
  await forgetResets(tx, user.id)
  for (const login of passwordlessLogins.of(app)) await login.forget(tx, user.id)
  await endSessions(work, user, sql`true`, 'password_reset')
  await tellUser(work, user, 'the password of your account was replaced. All sessions have ended, and passkeys were removed.')
  await clearAttempts(app, tx, user.email)
  await inOrganizations(work, user, (own) => writeAudit(own, { action, target: { type: 'User', id: user.id, name: user.email } }))
}

/** The links that were mailed stop working. */
export const forgetResets = (tx: Tx, userId: string): Promise<number> =>
  run(tx, sql`delete from password_reset where user_id = ${userId}::uuid`)
