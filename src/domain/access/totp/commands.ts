import { z } from 'zod'
import { defineCommand, demandPerson } from '../../../platform/command.ts'
import type { Work } from '../../../platform/work.ts'
import { demandRecentLogin, recordFailure, takeAttempt, userLocked } from '../session/index.ts'
import { type Account, lockAccount, passwordSchema, tellUser, userErrors, verifyPassword } from '../user/index.ts'
import { base32, otpauthUrl } from './code.ts'
import { totpErrors } from './errors.ts'
import { disable, enable, isEnabled, storedTotp, storeSecret, useCode } from './store.ts'

/** Locks the account, so that changes of it happen one after the other. */
const target = (work: Work) => lockAccount(work.tx, demandPerson(work.caller))

const codeSchema = z.string().trim().min(1, { error: 'must not be empty' }).max(64, { error: 'must be at most 64 characters' })

export const setUpTotp = defineCommand({
  name: 'setUpTotp',
  description:
    'Creates a secret for one-time passwords (TOTP) of the user who is signed in. Nothing changes until `enableTotp` is called. Until then, calling it again replaces the secret. Fails with `totp_enabled` if one-time passwords are enabled, and with `login_not_recent` unless the user signed in within the last 10 minutes.',
  permission: null,
  ids: {},
  targetType: 'User',
  target,
  input: z.object({}),
  emits: [],
  once: ['secret', 'otpauthUrl'],
  async run(work, _input, account: Account) {
    await demandRecentLogin(work)
    const secret = await storeSecret(work, account.id)
    if (!secret) throw totpErrors.totp_enabled()
    return { secret: base32(secret).toUpperCase() as string | null, otpauthUrl: otpauthUrl(secret, account.email) as string | null }
  },
})

export const enableTotp = defineCommand({
  name: 'enableTotp',
  description:
    'Enables one-time passwords: from then on, the user who is signed in needs a code to sign in with the password. The recovery codes are returned only once.',
  permission: null,
  ids: {},
  targetType: 'User',
  target,
  input: z.object({ code: codeSchema }),
  emits: [],
  once: ['recoveryCodes'],
  async run(work, { code }, account: Account) {
    const { app, tx } = work
    await demandRecentLogin(work)
    const stored = await storedTotp(tx, account.id)
    if (!stored) throw totpErrors.totp_not_set_up()
    if (stored.enabledAt) throw totpErrors.totp_enabled()
    if (!(await useCode(app, tx, account.id, code))) throw totpErrors.wrong_code({ field: 'code' })
    await tellUser(work, account, 'one-time passwords were enabled for your account.')
    return { recoveryCodes: (await enable(tx, account.id)) as string[] | null }
  },
})

export const disableTotp = defineCommand({
  name: 'disableTotp',
  description:
    'Disables one-time passwords of the user who is signed in, and deletes the recovery codes. Requires the password or a code. Fails with `wrong_password` or `wrong_code`; too many attempts fail with `login_locked`.',
  permission: null,
  ids: {},
  targetType: 'User',
  target,
  input: z
    .object({ password: passwordSchema.nullish(), code: codeSchema.nullish() })
    .refine(({ password, code }) => Boolean(password) !== Boolean(code), {
      error: 'exactly one of password and code is required',
      path: ['code'],
    }),
  emits: [userLocked],
  async run(work, { password, code }, account: Account) {
    const { app, tx } = work
    if (!(await isEnabled(tx, account.id))) throw totpErrors.totp_not_enabled()
    const attempt = await takeAttempt(app, account.email)
    const isRight = password ? (await verifyPassword(password, account.passwordHash)).isRight : await useCode(app, tx, account.id, code!)
    if (!isRight) {
      await recordFailure(
        app,
        account,
        attempt,
        { action: 'disableTotp', reason: password ? 'wrong password' : 'wrong code' },
        work.requestId,
      )
      throw password ? userErrors.wrong_password({ field: 'password' }) : totpErrors.wrong_code({ field: 'code' })
    }
    await attempt.clear(tx)
    await disable(tx, account.id)
    await tellUser(work, account, 'one-time passwords were disabled for your account: the password alone is enough to sign in.')
    return { userId: account.id }
  },
})
