/** Signing in with a password and, if the user has set one up, a second factor. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { reportFailure } from '../../../platform/failure-log.ts'
import { type App, transact } from '../../../platform/work.ts'
import { addressSchema } from '../mail/index.ts'
import {
  type Account,
  accountById,
  accountOf,
  hashPassword,
  passwordSchema,
  renewPasswordHash,
  unchangedAccount,
  verifyPassword,
} from '../user/index.ts'
import { signToken, verifyToken } from './access-token.ts'
import { takeAttempt } from './attempt.ts'
import { sessionErrors } from './errors.ts'
import { secondFactors } from './factor.ts'
import { recordFailure } from './failure.ts'
import { personOf, type SignedIn } from './model.ts'
import { startSession } from './session.ts'

export const loginInput = z.object({ email: addressSchema, password: passwordSchema })
export const secondFactorInput = z.object({ partialToken: z.string().min(1).max(2_000), code: z.string().trim().min(1).max(64) })

/** A login that needs a second factor. */
export type PartialLogin = { requiresTOTP: true; partialToken: string }

const partialAudience = 'quayside-second-factor'
const partialSeconds = 300

/** Throws `login_failed`, which does not tell a wrong password from an unknown address, also not by its time, or `login_locked`. */
export async function login(
  app: App,
  { email, password }: z.infer<typeof loginInput>,
  requestId: string,
): Promise<SignedIn | PartialLogin> {
  const attempt = await takeAttempt(app, email)
  const account = await accountOf(app.db, email)
  const { isRight, isOutdated } = await verifyPassword(password, account?.passwordHash ?? null)
  if (!account || !isRight) {
    // Not awaited, because the time that it takes depends on whether the account exists.
    recordFailure(app, account, attempt, { action: 'login', reason: 'wrong password' }, requestId).catch((error) =>
      reportFailure(app, error, 'a failed login could not be recorded'),
    )
    throw sessionErrors.login_failed()
  }
  if (isOutdated) await renewPasswordHash(app.db, account, await hashPassword(password))
  if (await needsSecondFactor(app, account.id)) {
    await attempt.undo(app.db)
    return { requiresTOTP: true, partialToken: await partialTokenOf(app, account) }
  }
  return transact(app, personOf(account, null), { requestId }, async (work) => {
    if (!(await unchangedAccount(work.tx, account))) throw sessionErrors.login_failed()
    await attempt.clear(work.tx)
    return startSession(work, account, 'password')
  })
}

async function needsSecondFactor(app: App, userId: string): Promise<boolean> {
  for (const factor of secondFactors.of(app)) if (await factor.isRequired(app.db, userId)) return true
  return false
}

const partialTokenOf = (app: App, account: Account): Promise<string> =>
  signToken(app, { sub: account.id, pwd: passwordMark(account) }, partialSeconds, partialAudience)

/** Changes with the password, so that a login that has begun with the former one can't be finished. */
const passwordMark = ({ passwordHash }: Account): string => createHash('sha256').update(passwordHash!).digest('base64url').slice(0, 16)

/** Throws `login_expired` for a partial token that is not valid, `code_failed` or `login_locked`. */
export async function loginWithSecondFactor(
  app: App,
  { partialToken, code }: z.infer<typeof secondFactorInput>,
  requestId: string,
): Promise<SignedIn> {
  const claims = await verifyToken(app, partialToken, partialAudience)
  const account = claims && (await accountById(app.db, claims.sub))
  if (!account?.passwordHash || passwordMark(account) !== claims?.pwd) throw sessionErrors.login_expired()
  const attempt = await takeAttempt(app, account.email)
  const factors = secondFactors.of(app)
  const emits = factors.flatMap((factor) => factor.emits)
  try {
    return await transact(app, personOf(account, null), { requestId, emits }, async (work) => {
      if (!(await unchangedAccount(work.tx, account))) throw sessionErrors.login_expired()
      for (const factor of factors) {
        if (!(await factor.isRequired(work.tx, account.id)) || !(await factor.verify(work, account.id, code))) continue
        await attempt.clear(work.tx)
        return startSession(work, account, 'password')
      }
      throw sessionErrors.code_failed()
    })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'code_failed')
      await recordFailure(app, account, attempt, { action: 'login', reason: 'wrong code' }, requestId)
    throw error
  }
}
