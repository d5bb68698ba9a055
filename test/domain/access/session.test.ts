/** Sessions from login to their end, and every token that is none. */
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callerOfCredential } from '../../../src/domain/access/api-key/index.ts'
import { setActiveOrganization } from '../../../src/domain/access/member/index.ts'
import {
  changePassword,
  endSession,
  login,
  publishedKeys,
  refreshSession,
  revokeSession,
  type SignedIn,
} from '../../../src/domain/access/session/index.ts'
import { rotateSigningKeys, signingKey } from '../../../src/domain/access/session/signing-key.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { transact } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import { password, withPassword } from '../../support/person.ts'
import { codeOf, createTenant, createWorld, operation, request, setRole, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'

let world: World
let acme: Tenant
let other: Tenant
let email: string

beforeAll(async () => {
  world = await createWorld()
  acme = await createTenant(world.app, 'acme')
  other = await createTenant(world.app, 'other')
  email = await withPassword(world.app, acme.owner)
})
afterAll(() => world?.close())

const signIn = async (secret = password): Promise<SignedIn> => (await login(world.app, { email, password: secret }, 'test')) as SignedIn
const callerOf = async (text: string, organization: string | null = null, app = world.app) =>
  callerOfCredential(app, { text, organization, fromCookie: false })
const sessionOf = async ({ accessToken }: SignedIn): Promise<Caller> => (await callerOf(accessToken))!
const claimsOf = (text: string) => JSON.parse(String(Buffer.from(text.split('.')[1]!, 'base64url'))) as JWTPayload

describe('a login', () => {
  it('makes the user the caller, with the rights of the membership', async () => {
    const signedIn = await signIn()
    expect(await callerOf(signedIn.accessToken)).toEqual({
      ...acme.owner,
      sessionId: claimsOf(signedIn.accessToken).sid,
      subject: { type: 'user', id: acme.owner.userId, name: 'acme' },
    })
    expect(signedIn.expiresIn).toBe(3_600)
  })

  it('sees a changed role at once', async () => {
    const { accessToken } = await signIn()
    await transact(world.app, acme.owner, {}, async (work) => {
      await setRole(work, acme.owner, 'VIEWER')
      work.wake('credentials')
    })
    await until('the role counts', async () => (await callerOf(accessToken))?.permissions.has('manage:projects') === false)
    await transact(world.app, acme.owner, {}, async (work) => {
      await setRole(work, acme.owner, 'OWNER')
      work.wake('credentials')
    })
    await until('the role counts', async () => (await callerOf(accessToken))?.permissions.has('manage:projects') === true)
  })
})

describe('the organization of a user', () => {
  it('is the one that X-Org-Slug names, else the active one; one of others is not found', async () => {
    await run(
      world.app.db,
      sql`insert into member (id, organization_id, user_id, role_id)
          select gen_random_uuid(), organization_id, ${acme.owner.userId}::uuid, id from role
          where organization_id = ${other.organizationId}::uuid and system = 'VIEWER'`,
    )
    const { accessToken } = await signIn()
    expect(await callerOf(accessToken)).toMatchObject({ organizationId: acme.organizationId })
    expect(await callerOf(accessToken, 'other')).toMatchObject({ organizationId: other.organizationId })
    expect((await callerOf(accessToken, 'other'))!.permissions.has('manage:projects')).toBe(false)
    await transact(world.app, acme.owner, {}, (work) => setActiveOrganization(work, acme.owner.userId!, other.organizationId))
    await until('the other one is active', async () => (await callerOf(accessToken))?.organizationId === other.organizationId)
    await run(
      world.app.db,
      sql`delete from member where user_id = ${acme.owner.userId}::uuid and organization_id = ${other.organizationId}::uuid`,
    )
    world.app.wake.notify('credentials')
    await until('the former one is active', async () => (await callerOf(accessToken))?.organizationId === acme.organizationId)
    for (const slug of ['other', 'unknown', '', "' or true --"]) expect(await codeOf(callerOf(accessToken, slug))).toBe('not_found')
  })

  it('is none, without any permission, for a user who belongs to none', async () => {
    const third = await createTenant(world.app, 'third')
    const alone = await withPassword(world.app, third.owner)
    await run(world.app.db, sql`delete from member where user_id = ${third.owner.userId}::uuid`)
    const { accessToken } = (await login(world.app, { email: alone, password }, 'test')) as SignedIn
    const caller = await callerOf(accessToken)
    expect([caller?.userId, [...caller!.permissions], caller?.projectIds]).toEqual([third.owner.userId, [], []])
  })
})

describe('a token that is not valid is refused', () => {
  const jwt = (header: object, payload: object, signature: (text: string) => string) => {
    const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    return `${text}.${signature(text)}`
  }
  const good = async () => {
    const { accessToken } = await signIn()
    const claims = claimsOf(accessToken)
    const { id, privateKey } = await signingKey(world.app)
    const signed = (changes: JWTPayload, kid: string | undefined = id, key = privateKey) =>
      new SignJWT({ ...claims, ...changes }).setProtectedHeader({ alg: 'EdDSA', typ: 'JWT', ...(kid ? { kid } : {}) }).sign(key)
    return { accessToken, claims, id, privateKey, signed }
  }

  it('of those that this test makes, the unchanged one is valid', async () => {
    const { signed } = await good()
    expect(await callerOf(await signed({}))).not.toBeNull()
  })

  it('alg: none', async () => {
    const { claims, id } = await good()
    for (const alg of ['none', 'None', 'NONE', '']) {
      expect(await callerOf(jwt({ alg, typ: 'JWT', kid: id }, claims, () => ''))).toBeNull()
      expect(await callerOf(jwt({ alg, typ: 'JWT', kid: id }, claims, () => 'c2ln'))).toBeNull()
    }
  })

  it('HS256 signed with the public key in every form', async () => {
    const { claims, id } = await good()
    const jwk = (await publishedKeys(world.app)).keys.find(({ kid }) => kid === id)!
    for (const secret of [JSON.stringify(jwk), String(jwk.x), Buffer.from(String(jwk.x), 'base64url')])
      expect(
        await callerOf(jwt({ alg: 'HS256', kid: id }, claims, (text) => createHmac('sha256', secret).update(text).digest('base64url'))),
      ).toBeNull()
  })

  it('another key under our kid, in the header, or under a kid of its own', async () => {
    const { claims, id, signed } = await good()
    const stranger = generateKeyPairSync('ed25519')
    expect(await callerOf(await signed({}, id, stranger.privateKey))).toBeNull()
    expect(await callerOf(await signed({}, 'unknown', stranger.privateKey))).toBeNull()
    expect(await callerOf(await signed({}, undefined, stranger.privateKey))).toBeNull()
    const header = { alg: 'EdDSA', kid: id, jwk: stranger.publicKey.export({ format: 'jwk' }) }
    const signature = (text: string) => sign(null, Buffer.from(text), stranger.privateKey).toString('base64url')
    expect(await callerOf(jwt(header, claims, signature))).toBeNull()
  })

  it.each<[string, JWTPayload]>([
    ['another audience', { aud: 'other' }],
    ['the audience of a second factor', { aud: 'quayside-second-factor' }],
    ['no audience', { aud: undefined }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['no issuer', { iss: undefined }],
    ['an expiry in the past', { exp: 1 }],
    ['no expiry', { exp: undefined }],
    ['a start in the future', { nbf: 4_000_000_000 }],
    ['another user', { sub: '0190a6c8-0000-7000-8000-000000000001' }],
    ['a user that is no id', { sub: 'admin' }],
    ['an unknown session', { sid: '0190a6c8-0000-7000-8000-000000000001' }],
    ['a session that is no id', { sid: "' or true --" }],
    ['no session', { sid: undefined }],
  ])('%s', async (_title, changes) => {
    const { signed } = await good()
    expect(await callerOf(await signed(changes))).toBeNull()
  })

  it('truncated, extended, or with any part changed', async () => {
    const { accessToken } = await good()
    const [header, payload, signature] = accessToken.split('.') as [string, string, string]
    const texts = [
      accessToken.slice(0, -1),
      accessToken.slice(0, 100),
      `${accessToken}A`,
      `${accessToken}.`,
      `${header}.${payload}`,
      `${header}.${payload}.`,
      `${header}..${signature}`,
      `.${payload}.${signature}`,
      `${header}.${Buffer.from(JSON.stringify({ ...claimsOf(accessToken), exp: 4_000_000_000 })).toString('base64url')}.${signature}`,
      `${accessToken.slice(0, 40)}x${accessToken.slice(41)}`,
      'eyJ.eyJ.eyJ',
    ]
    for (const text of texts) expect(await callerOf(text)).toBeNull()
    expect(await callerOf(accessToken)).not.toBeNull()
  })

  it('an access token in place of a refresh token, and the reverse', async () => {
    const { accessToken, refreshToken } = await signIn()
    expect(await codeOf(refreshSession(world.app, accessToken))).toBe('refresh_failed')
    expect(await callerOf(refreshToken)).toBeNull()
  })
})

describe('signing keys', () => {
  it('are replaced every month: a new one is published for an hour before it signs, a former one as long as its tokens live', async () => {
    const own = await createWorld()
    const tenant = await createTenant(own.app, 'keys')
    const mail = await withPassword(own.app, tenant.owner)
    const kid = async () => {
      const { accessToken } = (await login(own.app, { email: mail, password }, 'test')) as SignedIn
      return JSON.parse(String(Buffer.from(accessToken.split('.')[0]!, 'base64url'))).kid as string
    }
    const published = async () => (await publishedKeys(own.app)).keys.map((key) => (key as { kid: string }).kid)
    const pass = async (days: number) => {
      await run(own.app.db, sql`update signing_key set created_at = created_at - ${days} * interval '1 day'`)
      await rotateSigningKeys(own.app)
      own.app.wake.notify('signing-keys')
      await own.app.wake.next('signing-keys', 60_000)
    }
    const first = await kid()
    expect(await published()).toEqual([first])
    await pass(29)
    expect(await published()).toEqual([first])
    await pass(2)
    const [second] = await published()
    expect(await published()).toEqual([second, first])
    expect(await kid()).toBe(first)
    await pass(1 / 20)
    expect(await kid()).toBe(second)
    expect(await published()).toEqual([second, first])
    await pass(1 / 20)
    expect(await published()).toEqual([second])
    const keys = (await publishedKeys(own.app)).keys
    expect(keys[0]).toEqual({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid: second, x: expect.stringMatching(/^[\w-]{43}$/) })
    await own.close()
  })
})

describe('a refresh', () => {
  it('replaces the refresh token, and both tokens work', async () => {
    const first = await signIn()
    const second = await refreshSession(world.app, first.refreshToken)
    expect(second.refreshToken).not.toBe(first.refreshToken)
    expect((await sessionOf(second)).sessionId).toBe((await sessionOf(first)).sessionId)
    expect(await refreshSession(world.app, second.refreshToken)).toMatchObject({ user: { email } })
  })

  it('of 100 at the same time leads to one token, and the session goes on with it', async () => {
    const { refreshToken } = await signIn()
    const answers = await Promise.all(Array.from({ length: 100 }, () => refreshSession(world.app, refreshToken)))
    const next = new Set(answers.map((answer) => answer.refreshToken))
    expect(next.size).toBe(1)
    expect(await refreshSession(world.app, [...next][0]!)).toMatchObject({ user: { email } })
  })

  it('with a token that was replaced longer ago ends the session, which is reported', async () => {
    const own = await createWorld()
    const tenant = await createTenant(own.app, 'reuse')
    const mail = await withPassword(own.app, tenant.owner)
    const first = (await login(own.app, { email: mail, password }, 'test')) as SignedIn
    const second = await refreshSession(own.app, first.refreshToken)
    await shiftClock(own.url, 11_000)
    expect(await codeOf(refreshSession(own.app, first.refreshToken))).toBe('refresh_failed')
    expect(await codeOf(refreshSession(own.app, second.refreshToken))).toBe('refresh_failed')
    await until('the access token is worthless', async () => (await callerOf(second.accessToken, null, own.app)) === null)
    const events = await rows<{ data: object }>(own.app.db, sql`select data from event where type = 'session.revoked'`)
    expect(events).toEqual([{ data: expect.objectContaining({ reason: 'token_reused' }) }])
    await own.close()
  })

  it('with a token of two generations ago ends the session at once', async () => {
    const first = await signIn()
    const third = await refreshSession(world.app, (await refreshSession(world.app, first.refreshToken)).refreshToken)
    expect(await codeOf(refreshSession(world.app, first.refreshToken))).toBe('refresh_failed')
    expect(await codeOf(refreshSession(world.app, third.refreshToken))).toBe('refresh_failed')
  })

  it('with an invented token of a session harms nobody, and reads no row', async () => {
    const { refreshToken } = await signIn()
    const [session, secret, signature] = refreshToken.split('.') as [string, string, string]
    const invented = [
      `${session}.${'A'.repeat(43)}.${signature}`,
      `${session}.${secret}.${'A'.repeat(22)}`,
      `${session}.${secret}`,
      `${'A'.repeat(22)}.${secret}.${signature}`,
      `${refreshToken}x`,
      '',
    ]
    const texts: string[] = []
    const off = world.app.db.onStatement((text) => texts.push(text))
    for (const text of invented) expect(await codeOf(refreshSession(world.app, text))).toBe('refresh_failed')
    off()
    expect(texts.filter((text) => /\bsession\b/.test(text))).toEqual([])
    expect(await refreshSession(world.app, refreshToken)).toMatchObject({ user: { email } })
  })

  it('is not possible after SESSION_EXPIRY without use', async () => {
    const own = await createWorld({ SESSION_EXPIRY: '1h' })
    const tenant = await createTenant(own.app, 'idle')
    const mail = await withPassword(own.app, tenant.owner)
    const { accessToken, refreshToken } = (await login(own.app, { email: mail, password }, 'test')) as SignedIn
    await shiftClock(own.url, 3_600_000)
    expect(await codeOf(refreshSession(own.app, refreshToken))).toBe('refresh_failed')
    expect(await callerOf(accessToken, null, own.app)).toBeNull()
    await own.close()
  })
})

describe('the end of a session', () => {
  it('counts at once in every process', async () => {
    const second = await world.process()
    const signedIn = await signIn()
    const { sessionId } = await sessionOf(signedIn)
    expect(await callerOf(signedIn.accessToken, null, second)).not.toBeNull()
    await endSession(world.app, sessionId!)
    await until('it has ended here', async () => (await callerOf(signedIn.accessToken)) === null)
    await until('it has ended there', async () => (await callerOf(signedIn.accessToken, null, second)) === null)
    expect(await codeOf(refreshSession(world.app, signedIn.refreshToken))).toBe('refresh_failed')
  })

  it('by revokeSession is possible for the user alone', async () => {
    const signedIn = await signIn()
    const caller = await sessionOf(signedIn)
    const id = caller.sessionId!
    expect(await codeOf(execute(request(world.app, other.owner), revokeSession, { id }))).toBe('not_found')
    expect(await codeOf(execute(request(world.app, acme.key('ADMIN')), revokeSession, { id }))).toBe('forbidden')
    const { data } = await operation(world.app, caller, '{ sessions { id current ipAddress userAgent expiresAt lastUsedAt } }')
    expect(data!.sessions.filter(({ current }: { current: boolean }) => current)).toHaveLength(1)
    await execute(request(world.app, caller), revokeSession, { id })
    await until('it has ended', async () => (await callerOf(signedIn.accessToken)) === null)
    expect(await codeOf(execute(request(world.app, caller), revokeSession, { id }))).toBe('not_found')
  })

  it('follows a change of the password, for all but the present session', async () => {
    const [mine, theirs] = [await signIn(), await signIn()]
    const caller = await sessionOf(mine)
    const change = (input: object) => codeOf(execute(request(world.app, caller), changePassword, { ...input }))
    const better = 'another horse battery'
    expect(await change({ currentPassword: 'wrong', newPassword: better })).toBe('wrong_password')
    expect(await change({ currentPassword: password, newPassword: 'short' })).toBe('invalid_input')
    expect(await change({ currentPassword: password, newPassword: 'Password123' })).toBe('password_too_common')
    expect(await callerOf(theirs.accessToken)).not.toBeNull()
    expect(await change({ currentPassword: password, newPassword: better })).toBe('done')
    await until('the others have ended', async () => (await callerOf(theirs.accessToken)) === null)
    expect(await callerOf(mine.accessToken)).not.toBeNull()
    expect(await codeOf(signIn())).toBe('login_failed')
    expect(await codeOf(signIn(better))).toBe('done')
    await withPassword(world.app, acme.owner)
  })
})

it('no token and no password is stored in plain form', async () => {
  const { refreshToken, accessToken } = await signIn()
  const stored = await row<{ text: string }>(world.app.db, sql`select string_agg(s::text, ' ') as text from session s`)
  for (const secret of [refreshToken, refreshToken.split('.')[1]!, accessToken]) expect(stored!.text).not.toContain(secret)
})
