/** Forgotten passwords: the same for every address, and a link that works once. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { callerOfCredential } from '../../../src/domain/access/api-key/index.ts'
import { apiEndpoint } from '../../../src/domain/access/mail/index.ts'
import { login, requestReset, resetPassword, type SignedIn } from '../../../src/domain/access/session/index.ts'
import { mailResets } from '../../../src/domain/access/session/reset.ts'
import { enable, isEnabled, storeSecret } from '../../../src/domain/access/totp/store.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { onBehalfOf } from '../../../src/platform/forwarded.ts'
import { newId, nilId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { password, withPassword } from '../../support/person.ts'
import { codeOf, createTenant, createWorld, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let acme: Tenant
let email: string

beforeAll(async () => {
  world = await createWorld()
  apiEndpoint.provide(world.app, { url: 'https://ship.example' })
  acme = await createTenant(world.app, 'acme')
  email = await withPassword(world.app, acme.owner)
})
afterAll(() => world?.close())
beforeEach(() => run(world.app.db, sql`delete from login_attempt`))

const mailAll = async () => {
  while ((await mailResets.run(world.app, new AbortController().signal)) === 'again');
}
/** The mails that were queued so far, with their texts. */
async function mails(): Promise<{ to: string[]; text: string }[]> {
  const found = await rows<{ id: string; toAddresses: string[]; content: Uint8Array }>(
    world.app.db,
    sql`select id, to_addresses, content from mail where purpose = 'password_reset' order by id`,
  )
  return Promise.all(
    found.map(async ({ id, toAddresses, content }) => ({
      to: toAddresses,
      text: JSON.parse(await world.app.keyring.open(world.app.db, nilId, `mail:${id}:content`, content)).text as string,
    })),
  )
}
const tokenFor = async () => {
  await requestReset(world.app, { email })
  await mailAll()
  return /https:\/\/ship\.example\/login#reset=([\w-]{43})\b/.exec((await mails()).at(-1)!.text)![1]!
}
const reset = (token: string, to = 'another horse battery') => codeOf(resetPassword(world.app, { token, password: to }, 'test'))
const signIn = async (secret: string) => (await login(world.app, { email, password: secret }, 'test')) as SignedIn

describe('a reset', () => {
  it('sets the new password once, and ends all sessions, other links and a lock', async () => {
    const { accessToken } = await signIn(password)
    const [first, token] = [await tokenFor(), await tokenFor()]
    for (let n = 0; n < 10; n++) expect(await codeOf(signIn('wrong'))).toBe('login_failed')
    expect(await codeOf(signIn(password))).toBe('login_locked')
    expect(await reset(token)).toBe('done')
    expect(await codeOf(signIn('another horse battery'))).toBe('done')
    expect(await codeOf(signIn(password))).toBe('login_failed')
    await until('the session has ended', async () => {
      return (await callerOfCredential(world.app, { text: accessToken, organization: null, fromCookie: false })) === null
    })
    expect([await reset(token), await reset(first)]).toEqual(['reset_invalid', 'reset_invalid'])
    await withPassword(world.app, acme.owner)
  })

  it('by two requests at the same time succeeds once', async () => {
    const token = await tokenFor()
    const outcomes = await Promise.all([reset(token), reset(token), reset(token)])
    expect(outcomes.sort()).toEqual(['done', 'reset_invalid', 'reset_invalid'])
    await withPassword(world.app, acme.owner)
  })

  it('refuses tokens that are unknown or have expired, and keeps the token for another try after a bad password', async () => {
    const token = await tokenFor()
    expect([await reset(token, 'short'), await reset(token, 'password1'), await reset(token, email)]).toEqual([
      'invalid_input',
      'password_too_common',
      'password_too_common',
    ])
    expect([await reset(`${token}x`), await reset('x'), await reset('A'.repeat(43))]).toEqual(Array(3).fill('reset_invalid'))
    await run(world.app.db, sql`update password_reset set expires_at = app_now()`)
    expect(await reset(token)).toBe('reset_invalid')
    await mailAll()
    expect(await rows(world.app.db, sql`select 1 from password_reset`)).toEqual([])
  })

  it('also ends passkeys, with which a stranger could still sign in, and keeps the second factor', async () => {
    const { app } = world
    const { owner } = await createTenant(app, 'impostor')
    const address = await withPassword(app, owner)
    const key = { credentialId: new Uint8Array(Buffer.from(newId())), publicKey: new Uint8Array(32), counter: 0, backedUp: false }
    const data = { id: newId(), userId: owner.userId!, name: 'laptop', transports: ['usb'], ...key }
    await (await app.db.prismaClient()).passkey.create({ data })
    await transact(app, owner, {}, async (work) => {
      await storeSecret(work, owner.userId!)
      await enable(work.tx, owner.userId!)
    })
    await requestReset(app, { email: address })
    await mailAll()
    expect(await reset(/#reset=([\w-]{43})\b/.exec((await mails()).at(-1)!.text)![1]!)).toBe('done')
    expect(await rows(app.db, sql`select id from passkey where user_id = ${owner.userId}::uuid`)).toEqual([])
    expect(await isEnabled(app.db, owner.userId!)).toBe(true)
    expect(
      await rows(app.db, sql`select to_addresses from mail where purpose = 'account_notice' and ${address} = any(to_addresses)`),
    ).toHaveLength(1)
  })

  it('stores no token in plain form', async () => {
    const token = await tokenFor()
    const stored = await row<{ text: string }>(world.app.db, sql`select string_agg(r::text, ' ') as text from password_reset r`)
    expect(stored!.text).not.toContain(token)
    const audited = await row<{ text: string }>(world.app.db, sql`select string_agg(a::text, ' ') as text from audit_entry a`)
    expect(audited!.text).not.toContain(token)
  })
})

describe('a request', () => {
  it('for an unknown address does the same, and mails nothing', async () => {
    const before = (await mails()).length
    const texts: string[][] = []
    for (const address of [email, 'nobody@example.com']) {
      const sent: string[] = []
      const off = world.app.db.onStatement((text) => sent.push(text))
      await requestReset(world.app, { email: address })
      off()
      texts.push(sent)
    }
    expect(texts[0]).toEqual(texts[1])
    await mailAll()
    const later = await mails()
    expect(later.slice(before).map(({ to }) => to)).toEqual([[email]])
    expect(JSON.stringify(world.app.logged)).not.toContain('nobody@example.com')
  })

  it('is ignored when there were too many for the account, and refused when there were too many from the client', async () => {
    const before = (await mails()).length
    for (let n = 0; n < 8; n++) await requestReset(world.app, { email })
    await mailAll()
    expect((await mails()).length - before).toBe(5)
    const fromClient = (address: string) =>
      onBehalfOf({ address, userAgent: null, door: 'auth' }, () => codeOf(requestReset(world.app, { email: 'nobody@example.com' })))
    for (let n = 0; n < 30; n++) expect(await fromClient(`2001:db8:1:2::${n}`)).toBe('done')
    expect(await fromClient('2001:db8:1:2:ffff::1')).toBe('login_locked')
    expect(await fromClient('2001:db8:1:3::1')).toBe('done')
  })
})
