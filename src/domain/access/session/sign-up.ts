/**
 * New accounts. With an invitation, the account exists at once; its address is not confirmed, because the link of an invitation is also shown
 * to whoever invites. Otherwise the address is confirmed by a mail before the account exists, and who has an account already is told so by
 * mail only: the answer is the same for every address.
 */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { systemCaller } from '../../../platform/access.ts'
import { writeAudit } from '../../../platform/audit.ts'
import type { Chore } from '../../../platform/claim.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import type { EventDefinition } from '../../../platform/events.ts'
import { currentOrigin, networkOf } from '../../../platform/forwarded.ts'
import { newId, nilId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { addressSchema, apiEndpoint, type MailBody, queuePlatformMail } from '../mail/index.ts'
import { insertOrganization, organizationCreated } from '../organization/index.ts'
import {
  type Account,
  accountOf,
  createAccount,
  demandAcceptable,
  hashPassword,
  markVerified,
  passwordSchema,
  userErrors,
  verifyPassword,
} from '../user/index.ts'
import { demandWithinLimit, isWithinLimit } from './attempt.ts'
import { sessionErrors } from './errors.ts'
import { inOrganizations, personOf, type SignedIn } from './model.ts'
import { hashToken } from './refresh-token.ts'
import { startSession } from './session.ts'

export const signUpInput = z.object({
  name: nameSchema,
  email: addressSchema,
  password: passwordSchema,
  invitationToken: z.string().min(1).max(200).nullish(),
})
export const confirmSignUpInput = z.object({ token: z.string().min(1).max(200), password: passwordSchema })

/** How a later concept lets people sign up who were invited. */
export type SignUpInvitation = {
  /** The event types that `accept` publishes. */
  emits: readonly EventDefinition[]
  /** Makes a new user a member. Throws if the invitation is not valid, or is for another address. */
  accept(work: Work, invitation: { token: string; user: Pick<Account, 'id' | 'name' | 'email'> }): Promise<unknown>
}

export const signUpInvitations = defineExtensionPoint<SignUpInvitation>('sign-up by invitation')

const topic = 'sign-ups'
const validHours = 24

/**
 * Signs a person up. With an invitation, the account exists at once, and the person is signed in. Otherwise null: the address has to be confirmed.
 * Throws `sign_up_closed` if SIGN_UP does not allow it.
 */
export async function signUp(app: App, input: z.infer<typeof signUpInput>, requestId: string): Promise<SignedIn | null> {
  const { name, email, password, invitationToken: token } = input
  const { SIGN_UP } = app.settings
  if (SIGN_UP === 'off') throw sessionErrors.sign_up_closed({ text: 'New accounts cannot be created here.' })
  if (!token && SIGN_UP !== 'open') throw sessionErrors.sign_up_closed()
  const { address } = currentOrigin() ?? {}
  if (address !== undefined) await demandWithinLimit(app, 'sign_up_address', networkOf(address))
  await demandAcceptable(password, email, 'password')
  const passwordHash = await hashPassword(password)
  if (token) return createInvited(app, { name, email, passwordHash }, token, requestId)
  if (!(await isWithinLimit(app, 'sign_up_account', email))) return null
  const expiresAt = sql`app_now() + ${validHours} * interval '1 hour'`
  await run(
    app.db,
    sql`insert into sign_up (id, email, name, password_hash, expires_at) values (${newId()}::uuid, ${email}, ${name}, ${passwordHash}, ${expiresAt})`,
  )
  app.wake.notify(topic)
  return null
}

type NewAccount = Pick<Account, 'name' | 'email' | 'passwordHash'>

function createInvited(app: App, account: NewAccount, token: string, requestId: string): Promise<SignedIn> {
  const [invitations] = signUpInvitations.of(app)
  if (!invitations) throw sessionErrors.sign_up_closed()
  return transact(app, systemCaller(nilId), { requestId, emits: invitations.emits }, async (work) => {
    const created = await createAccount(work.tx, { ...account, id: newId() })
    const user = created ?? (await accountOf(work.tx, account.email))!
    // Also if there was an account already, so that only whoever holds the invitation learns of it. It is then rolled back.
    await invitations.accept(asPerson(work, user), { token, user })
    if (!created) throw sessionErrors.account_exists()
    return signedUp(work, created)
  })
}

const asPerson = (work: Work, user: Pick<Account, 'id' | 'name'>): Work => ({ ...work, caller: personOf(user, null) })

async function signedUp(work: Work, account: Account): Promise<SignedIn> {
  await inOrganizations(asPerson(work, account), account, (own) =>
    writeAudit(own, { action: 'signUp', target: { type: 'User', id: account.id, name: account.email } }),
  )
  return startSession(asPerson(work, account), account, 'sign_up')
}

/**
 * Creates the account whose address is confirmed by the token of a mail, and an organization that it owns. The password must be that of the
 * request: who opens a link that somebody else requested would otherwise get an account with a password that the other one knows. Throws
 * `sign_up_invalid`, and `wrong_password`, which leaves the link valid.
 */
export async function confirmSignUp(
  app: App,
  { token, password }: z.infer<typeof confirmSignUpInput>,
  requestId: string,
): Promise<SignedIn> {
  const request = await row<Pick<Account, 'passwordHash'>>(
    app.db,
    sql`select password_hash from sign_up where token_hash = ${hashToken(token)} and expires_at > app_now()`,
  )
  if (!request) throw sessionErrors.sign_up_invalid()
  if (!(await verifyPassword(password, request.passwordHash)).isRight) throw userErrors.wrong_password({ field: 'password' })
  return transact(app, systemCaller(nilId), { requestId, emits: [organizationCreated] }, async (work) => {
    const requested = await row<NewAccount>(
      work.tx,
      sql`delete from sign_up where token_hash = ${hashToken(token)} and expires_at > app_now() returning name, email, password_hash`,
    )
    const account = requested && app.settings.SIGN_UP === 'open' ? await createAccount(work.tx, { ...requested, id: newId() }) : null
    if (!account) throw sessionErrors.sign_up_invalid()
    await markVerified(work.tx, account.id)
    await run(work.tx, sql`delete from sign_up where email = ${account.email}`)
    await insertOrganization(asPerson(work, account), { name: account.name }, 'signUp')
    return signedUp(work, account)
  })
}

/** Mails a link to each address that an account was requested for, or that it has one. */
export const mailSignUps: Chore = {
  name: 'mail sign-ups',
  topic,
  everyMs: 60_000,
  async run(app) {
    await run(app.db, sql`delete from sign_up where expires_at <= app_now()`)
    const isDone = await transact(app, systemCaller(nilId), {}, mailNext)
    return isDone ? undefined : 'again'
  },
}

/** Returns whether no request was left. */
async function mailNext(work: Work): Promise<boolean> {
  const { tx } = work
  const request = await row<{ id: string; email: string; name: string }>(
    tx,
    sql`select id, email, name from sign_up where token_hash is null order by id limit 1 for update skip locked`,
  )
  if (!request) return true
  const { id, email, name } = request
  const { url } = apiEndpoint.use(work.app)
  if (await accountOf(tx, email)) {
    await run(tx, sql`delete from sign_up where id = ${id}::uuid`)
    await send(work, email, 'You already have an account', [
      'an account was requested for your email address, which has one already. To sign in, or to choose a new password, open:',
      `${url}/login`,
      'If it was not you, ignore this mail.',
    ])
    return false
  }
  const token = randomBytes(32).toString('base64url')
  await run(tx, sql`update sign_up set token_hash = ${hashToken(token)} where id = ${id}::uuid`)
  await send(work, email, 'Confirm your email address', [
    `an account for ${name} was requested with your email address. To create it, open this link:`,
    // In the fragment, which browsers do not send, so that it appears in no log.
    `${url}/login#confirm=${token}`,
    `It can be used once, within ${validHours} hours. If it was not you, ignore this mail.`,
  ])
  return false
}

const send = (work: Work, email: string, subject: string, paragraphs: MailBody['paragraphs']) =>
  queuePlatformMail(work, {
    organizationId: null,
    purpose: 'sign_up',
    to: [email],
    subject,
    body: { paragraphs: ['Hello,', ...paragraphs] },
  })
