/** New accounts: by invitation, or by an address that is confirmed. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { inviteMember } from '../../../src/domain/access/invitation/index.ts'
import { apiEndpoint } from '../../../src/domain/access/mail/index.ts'
import { callerOfToken, confirmSignUp, type SignedIn, signUp } from '../../../src/domain/access/session/index.ts'
import { mailSignUps } from '../../../src/domain/access/session/sign-up.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { nilId } from '../../../src/platform/id.ts'
import type { TestApp } from '../../support/app.ts'
import { password } from '../../support/person.ts'
import { codeOf, createTenant, createWorld, request, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let open: TestApp
let off: TestApp
let acme: Tenant

beforeAll(async () => {
  world = await createWorld()
  open = await world.process({ SIGN_UP: 'open' })
  off = await world.process({ SIGN_UP: 'off' })
  for (const app of [world.app, open]) apiEndpoint.provide(app, { url: 'https://ship.example' })
  acme = await createTenant(world.app, 'acme')
})
afterAll(() => world?.close())
beforeEach(() => run(world.app.db, sql`delete from login_attempt`))

const person = (email: string, more: object = {}) => ({ name: 'Ada', email, password, ...more })
const callerOf = ({ accessToken }: SignedIn) => callerOfToken(open, { text: accessToken, organization: null, fromCookie: false })

async function mailsTo(email: string): Promise<string[]> {
  while ((await mailSignUps.run(open, new AbortController().signal)) === 'again');
  const found = await rows<{ id: string; content: Uint8Array }>(
    open.db,
    sql`select id, content from mail where purpose = 'sign_up' and to_addresses = ${[email]}::text[] order by id`,
  )
  const textOf = ({ id, content }: { id: string; content: Uint8Array }) => open.keyring.open(open.db, nilId, `mail:${id}:content`, content)
  return Promise.all(found.map(async (mail) => JSON.parse(await textOf(mail)).text as string))
}
const tokenIn = (text: string) => /https:\/\/ship\.example\/login#confirm=([\w-]{43})\b/.exec(text)?.[1]

describe('sign-up that is open to everyone', () => {
  it('creates the account and an organization when the address is confirmed, once', async () => {
    expect(await signUp(open, person('ada@example.com'), 'test')).toBeNull()
    expect(await row(open.db, sql`select 1 from user_account where email = 'ada@example.com'`)).toBeNull()
    const token = tokenIn((await mailsTo('ada@example.com'))[0]!)!
    // Who opens a link that somebody else requested does not know that one's password.
    expect(await codeOf(confirmSignUp(open, { token, password: 'my own battery staple' }, 'test'))).toBe('wrong_password')
    const signedIn = await confirmSignUp(open, { token, password }, 'test')
    const caller = (await callerOf(signedIn))!
    expect(caller.permissions.has('delete:organization')).toBe(true)
    expect(caller.organizationId).not.toBe(acme.organizationId)
    expect(await codeOf(confirmSignUp(open, { token, password }, 'test'))).toBe('sign_up_invalid')
  })

  it('does the same for an address that has an account, which is told by mail', async () => {
    const statements: string[][] = []
    for (const email of ['acme@quayside.localhost', 'new@example.com']) {
      const sent: string[] = []
      const stop = open.db.onStatement((text) => sent.push(text))
      expect(await signUp(open, person(email), 'test')).toBeNull()
      stop()
      statements.push(sent)
    }
    expect(statements[0]).toEqual(statements[1])
    const [told] = await mailsTo('acme@quayside.localhost')
    expect(told).toContain('has one already')
    expect(tokenIn(told!)).toBeUndefined()
  })

  it('refuses links that are unknown or have expired, and those of an account that was created meanwhile', async () => {
    for (let n = 0; n < 2; n++) await signUp(open, person('twice@example.com'), 'test')
    const [first, second] = (await mailsTo('twice@example.com')).map(tokenIn)
    expect(await codeOf(confirmSignUp(open, { token: 'unknown', password }, 'test'))).toBe('sign_up_invalid')
    const both = await Promise.all([first!, second!].map((token) => codeOf(confirmSignUp(open, { token, password }, 'test'))))
    expect(both.sort()).toEqual(['done', 'sign_up_invalid'])
    await signUp(open, person('late@example.com'), 'test')
    const token = tokenIn((await mailsTo('late@example.com'))[0]!)!
    await run(open.db, sql`update sign_up set expires_at = app_now()`)
    expect(await codeOf(confirmSignUp(open, { token, password }, 'test'))).toBe('sign_up_invalid')
    await mailsTo('late@example.com')
    expect(await rows(open.db, sql`select 1 from sign_up`)).toEqual([])
  })

  it.each([
    ['short', 'invalid_input'],
    ['x'.repeat(257), 'invalid_input'],
    ['iloveyou', 'password_too_common'],
    ['IloveYOU', 'password_too_common'],
    ['weak@example.com', 'password_too_common'],
    ['\u{1f40e}\u{1f40e}\u{1f40e}', 'invalid_input'],
  ])('refuses the password %j', async (weak, code) => {
    expect(await codeOf(signUp(open, { ...person('weak@example.com'), password: weak }, 'test'))).toBe(code)
  })
})

describe('sign-up by invitation', () => {
  const invite = async (email: string) => {
    const developer = await row<{ id: string }>(
      world.app.db,
      sql`select id from role where organization_id = ${acme.organizationId}::uuid and system = 'DEVELOPER'`,
    )
    const { link } = await execute(request(world.app, acme.owner), inviteMember, { email, roleId: developer!.id })
    return link!.split('#invitation=')[1]!
  }

  it('makes a member who is signed in, although the address is not confirmed', async () => {
    const invitationToken = await invite('dev@example.com')
    const signedIn = (await signUp(world.app, person('dev@example.com', { invitationToken }), 'test'))!
    const caller = (await callerOf(signedIn))!
    expect([caller.organizationId, caller.permissions.has('manage:projects'), caller.permissions.has('manage:members')]).toEqual([
      acme.organizationId,
      true,
      false,
    ])
    expect(await codeOf(signUp(world.app, person('dev2@example.com', { invitationToken }), 'test'))).toBe('invitation_invalid')
  })

  it('is refused for another address, an invented invitation, and whoever has an account, and leaves nothing', async () => {
    const invitationToken = await invite('guest@example.com')
    const before = await rows(world.app.db, sql`select id from user_account order by id`)
    const attempt = (email: string, token: string) => codeOf(signUp(world.app, person(email, { invitationToken: token }), 'test'))
    expect(await attempt('other@example.com', invitationToken)).toBe('forbidden')
    expect(await attempt('guest@example.com', 'A'.repeat(43))).toBe('invitation_invalid')
    // Whoever has no invitation does not learn that the address has an account.
    expect(await attempt('acme@quayside.localhost', 'A'.repeat(43))).toBe('invitation_invalid')
    expect(await rows(world.app.db, sql`select id from user_account order by id`)).toEqual(before)
    expect(await attempt('guest@example.com', invitationToken)).toBe('done')
  })

  it('is the only way by default, and no way with SIGN_UP=off', async () => {
    expect(await codeOf(signUp(world.app, person('x@example.com'), 'test'))).toBe('sign_up_closed')
    expect(await codeOf(signUp(off, person('x@example.com'), 'test'))).toBe('sign_up_closed')
    const invitationToken = await invite('x@example.com')
    expect(await codeOf(signUp(off, person('x@example.com', { invitationToken }), 'test'))).toBe('sign_up_closed')
  })
})
