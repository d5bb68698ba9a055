/** What people see at /login, with the page's own modules in a DOM, against a real server. */
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { inviteMember } from '../../src/domain/access/invitation/index.ts'
import { contentIdentity } from '../../src/domain/access/mail/model.ts'
import { mailResets } from '../../src/domain/access/session/reset.ts'
import { mailSignUps } from '../../src/domain/access/session/sign-up.ts'
import { codeAt, stepSeconds } from '../../src/domain/access/totp/code.ts'
import { schema } from '../../src/graphql/schema.ts'
import { execute } from '../../src/platform/command.ts'
import { row, sql } from '../../src/platform/db/index.ts'
import { nilId } from '../../src/platform/id.ts'
import { authDialect } from '../../src/rest/auth/index.ts'
import { restPlugin } from '../../src/rest/core/index.ts'
import { pagesPlugin } from '../../src/rest/page/index.ts'
import { provideEmail } from '../support/email.ts'
import { password, withPassword } from '../support/person.ts'
import { createTenant, createWorld, request, type World } from '../support/tenant.ts'
import { secretOf } from '../support/totp.ts'
import { until } from '../support/wait.ts'
import { createVisitor, type Page, type Visitor } from './page-support.ts'

let world: World
let server: FastifyInstance
let url: string

beforeAll(async () => {
  world = await createWorld({ SIGN_UP: 'open' })
  const { app } = world
  provideEmail(app)
  server = await createApp({ app, schema, rest: [restPlugin(app, [authDialect]), pagesPlugin(app)] })
  await server.listen({ port: 0, host: '127.0.0.1' })
  url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
})
afterAll(async () => {
  vi.unstubAllGlobals()
  await server?.close()
  await world?.close()
})

/** Somebody with an account, whose organization has this name. Returns the email address. */
const person = async (organization: string) => withPassword(world.app, (await createTenant(world.app, organization)).owner)

/** The link of the newest mail of a purpose, from `#`. */
async function linkOf(purpose: 'password_reset' | 'sign_up'): Promise<string> {
  const { app } = world
  const chore = purpose === 'sign_up' ? mailSignUps : mailResets
  while ((await chore.run(app, new AbortController().signal)) === 'again');
  const mail = (await row<{ id: string; content: Uint8Array }>(
    app.db,
    sql`select id, content from mail where purpose = ${purpose} order by id desc limit 1`,
  ))!
  return /login(#\w+=[\w-]+)/.exec(await app.keyring.open(app.db, nilId, contentIdentity(mail.id), mail.content))![1]!
}

async function signedIn(email: string, secret = password): Promise<{ visitor: Visitor; page: Page }> {
  const visitor = createVisitor(url)
  const page = await visitor.open()
  page.submit({ email, password: secret })
  await page.shows('this session')
  return { visitor, page }
}

const isSignedOut = async (visitor: Visitor) => (await visitor.open()).title() === 'Sign in · Quayside'

describe('signing in', () => {
  it('begins at the address, says what is wrong, and shows the account at last', async () => {
    const email = await person('acme')
    const page = await createVisitor(url).open()
    expect([page.title(), page.focus()]).toEqual(['Sign in · Quayside', 'email'])
    page.submit({ email, password: 'wrong' })
    await page.shows('The email address or the password is wrong.')
    expect(page.focus()).toBe('password')
    page.submit({ email, password })
    await page.shows(`(${email})`)
    expect([page.title(), page.focus()]).toEqual(['Your account · Quayside', 'h1'])
    await page.shows('acme, current')
    await page.shows('this session')
  })
  it('leads back to where the person came from', async () => {
    const email = await person('return')
    const visitor = createVisitor(url)
    const page = await visitor.open('?return=/graphql')
    page.submit({ email, password })
    await until('the page is left', () => visitor.left.length > 0)
    expect(visitor.left).toEqual([`${url}/graphql`])
  })
  it('lasts when the access token has expired, by one refresh', async () => {
    const { visitor } = await signedIn(await person('refresh'))
    visitor.forget('access_token')
    visitor.sent.length = 0
    await (await visitor.open()).shows('this session')
    expect(visitor.sent.filter((line) => line.includes('/api/auth'))).toEqual(['POST /api/auth/refresh 200'])
  })
  it('ends by signing out, also for the tokens', async () => {
    const { visitor, page } = await signedIn(await person('leaver'))
    const cookie = `refresh_token=${visitor.cookie('refresh_token')}`
    page.click('Sign out')
    await until('the page is left', () => visitor.left.length > 0)
    expect(visitor.left).toEqual(['/login'])
    expect([visitor.cookie('access_token'), visitor.cookie('refresh_token')]).toEqual([undefined, undefined])
    const headers = { cookie, 'content-type': 'application/json' }
    expect((await fetch(`${url}/api/auth/refresh`, { method: 'POST', headers, body: '{}' })).status).toBe(401)
    expect(await isSignedOut(visitor)).toBe(true)
  })
})

describe('an invitation', () => {
  /** The link of an invitation to an organization, from `#`. */
  async function invite(organization: string, email: string): Promise<string> {
    const { app } = world
    const { organizationId, owner } = await createTenant(app, organization)
    const role = (await row<{ id: string }>(
      app.db,
      sql`select id from role where organization_id = ${organizationId}::uuid and system = 'DEVELOPER'`,
    ))!
    const { link } = await execute(request(app, owner), inviteMember, { email, roleId: role.id })
    return link!.slice(link!.indexOf('#'))
  }
  it('creates the account of a person without one, who then is a member', async () => {
    const email = 'invited@example.com'
    const link = await invite('inviter', email)
    const page = await createVisitor(url).open(link)
    expect([page.title(), page.focus()]).toEqual(['Join inviter · Quayside', 'name'])
    expect(page.text()).toContain(`The invitation is for ${email}, with the role Developer.`)
    page.submit({ name: 'Ada', password: 'short' })
    await page.shows('must have 8 to 256 characters')
    page.submit({ name: 'Ada', password })
    await page.shows('inviter, current')
    expect(page.text()).toContain(`Signed in as Ada (${email})`)
    expect(page.hash()).toBe('')
    const again = await createVisitor(url).open(link)
    expect(again.title()).toBe('The invitation could not be opened · Quayside')
    expect(again.text()).toContain('The invitation is not valid.')
  })
  it('is accepted by signing in, and at once by a person who is signed in', async () => {
    const email = await person('own')
    const { visitor } = await signedIn(email)
    const page = await createVisitor(url).open(await invite('joined', email))
    page.click('I have an account')
    page.submit({ password })
    await page.shows('joined, current')
    const other = await visitor.open(await invite('third', email))
    expect(other.focus()).toBe('button')
    other.submit({})
    await other.shows('third, current')
  })
  it('for another address asks to sign out first', async () => {
    const { visitor } = await signedIn(await person('stranger'))
    const page = await visitor.open(await invite('fourth', 'somebody@example.com'))
    expect(page.text()).toContain('You are signed in as stranger@quayside.localhost.')
    page.submit({})
    await page.shows('Create account and join')
    expect(visitor.cookie('access_token')).toBeUndefined()
  })
})

describe('sign-up', () => {
  it('confirms the address by a mail, and leads to the account', async () => {
    const visitor = createVisitor(url)
    const page = await visitor.open('#sign-up')
    expect([page.title(), page.focus()]).toEqual(['Create an account · Quayside', 'name'])
    page.submit({ name: 'Grace', email: 'grace@example.com', password })
    await page.shows('Check your mail')
    const confirm = await visitor.open(await linkOf('sign_up'))
    confirm.submit({ password })
    await confirm.shows('Signed in as Grace (grace@example.com)')
    await confirm.shows('this session')
    expect(confirm.hash()).toBe('')
  })
})

describe('a forgotten password', () => {
  it('is replaced by the link of a mail, which works once', async () => {
    const email = await person('forgetful')
    const visitor = createVisitor(url)
    const page = await visitor.open('#forgot')
    expect([page.title(), page.focus()]).toEqual(['Reset your password · Quayside', 'email'])
    page.submit({ email })
    await page.shows('Check your mail')
    const link = await linkOf('password_reset')
    const reset = await visitor.open(link)
    expect([reset.title(), reset.focus()]).toEqual(['Set a new password · Quayside', 'password'])
    reset.submit({ password: 'password1' })
    await reset.shows('common')
    reset.submit({ password: 'another good horse' })
    await reset.shows('Your password is changed')
    expect(reset.hash()).toBe('')
    const again = await visitor.open(link)
    again.submit({ password: 'a third good horse' })
    await again.shows('The link is not valid')
    await signedIn(email, 'another good horse')
  })
})

describe('the account', () => {
  it('shows where the person is signed in, and ends other sessions', async () => {
    const email = await person('sessions')
    const other = await signedIn(email)
    const { visitor, page } = await signedIn(email)
    page.click('Revoke')
    await page.shows('The session is revoked.')
    expect(page.focus()).toBe('h2')
    await until('the other session has ended', () => isSignedOut(other.visitor))
    expect(await isSignedOut(visitor)).toBe(false)
  })
  it('changes the password, which ends other sessions', async () => {
    const email = await person('changed')
    const other = await signedIn(email)
    const { visitor, page } = await signedIn(email)
    page.submit({ currentPassword: 'wrong', newPassword: 'another good horse' })
    await until('the failure', () => page.focus() === 'currentPassword')
    page.submit({ currentPassword: password, newPassword: 'another good horse' })
    await page.shows('Your password is changed.')
    await until('the other session has ended', () => isSignedOut(other.visitor))
    expect(await isSignedOut(visitor)).toBe(false)
  })
  it('sets up an authenticator app, whose codes or a recovery code the next login needs', async () => {
    const email = await person('factors')
    const { page } = await signedIn(email)
    // The module of the QR code is only where the server puts it. The key is shown without it too.
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
    onTestFinished(() => warned.mockRestore())
    await page.shows('Set up')
    page.click('Set up')
    await page.shows('Key:')
    const [, key] = /Key: ([A-Z2-7 ]+) /.exec(page.text())!
    const secret = secretOf(`otpauth://totp/?secret=${key!.replaceAll(' ', '')}`)
    const code = codeAt(secret, Math.floor(Date.now() / 1_000 / stepSeconds))
    page.submit({ code: '000000' })
    await page.shows('The code is wrong')
    page.submit({ code })
    await page.shows('Save the recovery codes.')
    const recoveryCode = page.items('codes')[0]!
    const again = await createVisitor(url).open()
    again.submit({ email, password })
    await again.shows('Enter your code')
    expect(again.focus()).toBe('code')
    again.submit({ code })
    await again.shows('The code is wrong, or was used before.')
    again.submit({ code: recoveryCode })
    await again.shows('this session')
    await again.shows('Code, to turn it off')
  })
  it('switches to another organization', async () => {
    const { visitor, page } = await signedIn(await person('first'))
    await page.shows('first, current')
    expect(page.text()).not.toContain('Switch')
    const created = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${visitor.cookie('access_token')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: 'mutation { createOrganization(input: { name: "Second" }) { organization { id } } }' }),
    })
    expect(await created.json()).not.toHaveProperty('errors')
    const again = await visitor.open()
    await again.shows('Switch')
    again.click('Switch')
    await again.shows('Second is now your current organization.')
    expect(again.text()).toContain('second, current')
    expect(again.focus()).toBe('h2')
  })
})
