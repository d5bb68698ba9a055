/** Passkeys, with a software authenticator. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apiEndpoint } from '../../../src/domain/access/mail/index.ts'
import {
  beginPasskeyLogin,
  beginPasskeyRegistration,
  deletePasskey,
  finishPasskeyRegistration,
  loginWithPasskey,
  passkeyResponse,
} from '../../../src/domain/access/passkey/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { type Authenticator, createAuthenticator, type Deviation } from '../../support/authenticator.ts'
import { shiftClock } from '../../support/database.ts'
import { codeOf, createTenant, createWorld, operation, refusal, request, type Tenant, type World } from '../../support/tenant.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld()
  apiEndpoint.provide(world.app, { url: 'http://127.0.0.1:4000' })
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const as = (caller: Caller = tenant.owner) => request(world.app, caller)
// biome-ignore lint/suspicious/noExplicitAny: options as a browser receives them
const begin = async (caller?: Caller): Promise<any> => (await execute(as(caller), beginPasskeyRegistration, {})).options
const finish = async (response: object, caller?: Caller, input: CommandInput = {}) =>
  (await execute(as(caller), finishPasskeyRegistration, { name: 'laptop', response, ...input })).passkey
async function register(authenticator: Authenticator = createAuthenticator(), caller?: Caller) {
  const passkey = await finish(authenticator.create(await begin(caller)), caller)
  return { authenticator, passkey }
}
const login = (response: object) => loginWithPasskey(world.app, passkeyResponse.parse(response), 'test')
const sessions = async () => (await row<{ n: number }>(world.app.db, sql`select count(*)::int as n from session`))!.n

describe('registration', () => {
  it('offers options that demand a discoverable passkey and a verified person, and exclude what is registered', async () => {
    const { owner } = await createTenant(world.app)
    const { authenticator } = await register(undefined, owner)
    const options = await begin(owner)
    expect(options).toMatchObject({
      rp: { name: 'Quayside', id: 'localhost' },
      timeout: 300_000,
      attestation: 'none',
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      excludeCredentials: [{ id: authenticator.credentialId, transports: ['internal'] }],
      pubKeyCredParams: [-8, -7, -257].map((alg) => ({ alg, type: 'public-key' })),
    })
    expect(Buffer.from(options.user.id, 'base64url').toString('hex')).toBe(owner.userId!.replaceAll('-', ''))
  })

  it.each(['ES256', 'EdDSA'] as const)('takes a passkey with a key of type %s, which is then shown to its user', async (kind) => {
    const { owner } = await createTenant(world.app)
    const { passkey } = await register(createAuthenticator(kind), owner)
    expect(passkey).toMatchObject({ name: 'laptop', transports: ['internal'], backedUp: false, lastUsedAt: null })
    expect(passkey).not.toHaveProperty('publicKey')
    const query = 'query ($id: ID!) { node(id: $id) { ... on User { passkeys { name } } } }'
    const { data } = await operation(world.app, owner, query, { id: encodeId('User', owner.userId!) })
    expect(data).toEqual({ node: { passkeys: [{ name: 'laptop' }] } })
  })

  const self = () =>
    new Map<string, number | Buffer>([
      ['alg', -7],
      ['sig', Buffer.from('no signature')],
    ])
  it.each<[string, Deviation]>([
    ['another origin', { origin: 'https://evil.example' }],
    ['the address as an IP address', { origin: 'http://127.0.0.1:4000' }],
    ['another site', { rpId: 'evil.example' }],
    ['a frame of another site', { crossOrigin: true }],
    ['a person who was not verified', { isUnverified: true }],
    ['the type of a login', { type: 'webauthn.get' }],
    ['a challenge that is not ours', { challenge: Buffer.alloc(38, 1).toString('base64url') }],
    ['no challenge', { challenge: '' }],
    ['a wrong attestation of its own', { attestation: { fmt: 'packed', attStmt: self() } }],
    ['a certificate', { attestation: { fmt: 'packed', attStmt: self().set('x5c', Buffer.from('certificate')) } }],
    ['an attestation of another format', { attestation: { fmt: 'fido-u2f', attStmt: self() } }],
  ])('is refused for %s', async (_what, deviation) => {
    const response = createAuthenticator().create(await begin(), deviation)
    expect(await refusal(finish(response))).toMatchObject({ code: 'passkey_refused', field: 'response' })
  })

  it('is refused for a challenge of another user, of a login, for an answer that is repeated or too late, and for garbage', async () => {
    const other = await createTenant(world.app)
    const foreign = createAuthenticator().create(await begin(other.owner))
    expect(await codeOf(finish(foreign))).toBe('passkey_refused')
    const { challenge } = await beginPasskeyLogin(world.app)
    expect(await codeOf(finish(createAuthenticator().create(await begin(), { challenge })))).toBe('passkey_refused')
    const options = await begin()
    await finish(createAuthenticator().create(options))
    expect(await codeOf(finish(createAuthenticator().create(options)))).toBe('passkey_refused')
    const response = createAuthenticator().create(await begin())
    for (const attestationObject of ['!', 'AAAA', response.id])
      expect(await codeOf(finish({ ...response, response: { ...response.response, attestationObject } }))).toBe('passkey_refused')
    for (const garbage of [null, 'text', {}, { ...response, type: 'password' }, { ...response, id: 1 }])
      expect(await codeOf(finish(garbage as object))).toBe('invalid_input')
  })

  it('refuses a passkey that is registered, also by somebody else', async () => {
    const { authenticator } = await register()
    expect(await codeOf(finish(authenticator.create(await begin())))).toBe('passkey_taken')
    const { owner } = await createTenant(world.app)
    expect(await codeOf(finish(authenticator.create(await begin(owner)), owner))).toBe('passkey_taken')
  })

  it('refuses more than 50 passkeys of a user', async () => {
    const { owner } = await createTenant(world.app)
    await register(undefined, owner)
    await run(
      world.app.db,
      sql`insert into passkey (id, user_id, name, credential_id, public_key, counter, backed_up)
          select gen_random_uuid(), user_id, name, decode(md5(n::text || id::text), 'hex'), public_key, 0, false
          from passkey, generate_series(2, 50) n where user_id = ${owner.userId}::uuid`,
    )
    expect(await codeOf(register(undefined, owner))).toBe('too_many_passkeys')
  })
})

describe('a login', () => {
  it.each(['ES256', 'EdDSA'] as const)('with a passkey with a key of type %s starts a session', async (kind) => {
    const { owner } = await createTenant(world.app)
    const { authenticator, passkey } = await register(createAuthenticator(kind, { counts: true }), owner)
    for (let n = 0; n < 2; n++) {
      const options = await beginPasskeyLogin(world.app)
      expect(options).toMatchObject({ rpId: 'localhost', userVerification: 'required', allowCredentials: [], timeout: 300_000 })
      const signedIn = await login(authenticator.get(options))
      expect(signedIn).toMatchObject({ user: { id: owner.userId }, accessToken: expect.any(String), refreshToken: expect.any(String) })
    }
    expect(await rows(world.app.db, sql`select method from session where user_id = ${owner.userId}::uuid`)).toEqual([
      { method: 'passkey' },
      { method: 'passkey' },
    ])
    const used = await row<{ lastUsedAt: Date }>(world.app.db, sql`select last_used_at from passkey where id = ${passkey.id}::uuid`)
    expect(used!.lastUsedAt).toBeInstanceOf(Date)
    const entries = await rows(
      world.app.db,
      sql`select action, outcome, actor_id, details from audit_entry where user_id = ${owner.userId}::uuid and action = 'login'`,
    )
    expect(entries).toEqual(Array(2).fill({ action: 'login', outcome: 'SUCCEEDED', actorId: owner.userId, details: { method: 'passkey' } }))
  })

  it.each<[string, Deviation]>([
    ['another origin', { origin: 'https://evil.example' }],
    ['another site', { rpId: 'evil.example' }],
    ['a frame of another site', { crossOrigin: true }],
    ['a person who was not verified', { isUnverified: true }],
    ['the type of a registration', { type: 'webauthn.create' }],
    ['a challenge that is not ours', { challenge: Buffer.alloc(38, 1).toString('base64url') }],
    ['a passkey that nobody has', { credentialId: Buffer.alloc(32, 1).toString('base64url') }],
    ['another user', { userHandle: Buffer.alloc(16, 1).toString('base64url') }],
  ])('is refused for %s, always with the same error, and starts no session', async (_what, deviation) => {
    const { authenticator } = await register()
    const before = await sessions()
    expect(await refusal(login(authenticator.get(await beginPasskeyLogin(world.app), deviation)))).toMatchObject({
      code: 'passkey_failed',
      kind: 'unauthenticated',
      message: 'The passkey was not accepted. Try again, or sign in with your password.',
    })
    expect(await sessions()).toBe(before)
  })

  it('is refused for a signature that was changed, of another key, or over other data', async () => {
    const { authenticator } = await register()
    const { authenticator: other } = await register()
    const good = authenticator.get(await beginPasskeyLogin(world.app))
    const changed = Buffer.from(good.response.signature, 'base64url')
    changed[changed.length - 1]! ^= 1
    const foreign = other.get(await beginPasskeyLogin(world.app), { credentialId: authenticator.credentialId })
    const unsigned = authenticator.get(await beginPasskeyLogin(world.app)).response.clientDataJSON
    for (const response of [
      { ...good, response: { ...good.response, signature: changed.toString('base64url') } },
      { ...good, response: { ...good.response, signature: '!' } },
      { ...foreign, response: { ...foreign.response, userHandle: good.response.userHandle } },
      { ...good, response: { ...good.response, clientDataJSON: unsigned } },
    ])
      expect(await codeOf(login(response))).toBe('passkey_failed')
    await login(good)
  })

  it('succeeds once for one response, also with parallel requests', async () => {
    const { authenticator } = await register()
    const response = authenticator.get(await beginPasskeyLogin(world.app))
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => codeOf(login(response))))
    expect(outcomes.toSorted()).toEqual(['done', ...Array(7).fill('passkey_failed')])
    expect(await codeOf(login(response))).toBe('passkey_failed')
  })

  it('is refused if the counter of the authenticator does not go up', async () => {
    const { authenticator } = await register(createAuthenticator('ES256', { counts: true }))
    await login(authenticator.get(await beginPasskeyLogin(world.app), { counter: 10 }))
    for (const counter of [9, 10, 0])
      expect(await codeOf(login(authenticator.get(await beginPasskeyLogin(world.app), { counter })))).toBe('passkey_failed')
    await login(authenticator.get(await beginPasskeyLogin(world.app), { counter: 4_294_967_295 }))
  })

  it('is refused after five minutes, for the challenge of a registration, and after the passkey was deleted', async () => {
    const own = await createWorld()
    try {
      apiEndpoint.provide(own.app, { url: 'https://deploy.example.com/' })
      const { owner } = await createTenant(own.app)
      const authenticator = createAuthenticator('ES256', { origin: 'https://deploy.example.com' })
      const { options } = await execute(request(own.app, owner), beginPasskeyRegistration, {})
      const response = authenticator.create(options)
      const { passkey } = await execute(request(own.app, owner), finishPasskeyRegistration, { name: 'phone', response })
      const attempt = (answer: object) => codeOf(loginWithPasskey(own.app, passkeyResponse.parse(answer), 'test'))
      const late = authenticator.get(await beginPasskeyLogin(own.app))
      const inTime = authenticator.get(await beginPasskeyLogin(own.app))
      await shiftClock(own.url, 290_000)
      expect(await attempt(inTime)).toBe('done')
      await shiftClock(own.url, 301_000)
      expect(await attempt(late)).toBe('passkey_failed')
      const { options: again } = await execute(request(own.app, owner), beginPasskeyRegistration, {})
      expect(await attempt(authenticator.get({ ...again!, rpId: 'deploy.example.com' }))).toBe('passkey_failed')
      const good = authenticator.get(await beginPasskeyLogin(own.app))
      await execute(request(own.app, owner), deletePasskey, { id: passkey.id })
      expect(await attempt(good)).toBe('passkey_failed')
    } finally {
      await own.close()
    }
  })

  it('that fails is recorded in the audit log of the user', async () => {
    const { owner } = await createTenant(world.app)
    const { authenticator } = await register(undefined, owner)
    await codeOf(login(authenticator.get(await beginPasskeyLogin(world.app), { origin: 'https://evil.example' })))
    const entries = await rows(
      world.app.db,
      sql`select outcome, details->>'reason' as reason from audit_entry where user_id = ${owner.userId}::uuid and action = 'login'`,
    )
    expect(entries).toEqual([{ outcome: 'FAILED', reason: 'passkey not accepted' }])
  })
})

describe('an account', () => {
  it('shows its passkeys to nobody else and to no API key, and nobody else deletes them', async () => {
    const own = await createTenant(world.app)
    const colleague = await createTenant(world.app)
    await run(
      world.app.db,
      sql`insert into member (id, organization_id, user_id, role_id)
          select ${newId()}::uuid, organization_id, ${colleague.owner.userId}::uuid, id from role
          where organization_id = ${own.organizationId}::uuid and system = 'OWNER'`,
    )
    const { passkey } = await register(undefined, own.owner)
    const inOrganization = { ...colleague.owner, organizationId: own.organizationId }
    const query = 'query ($id: ID!) { node(id: $id) { ... on User { passkeys { name } } } }'
    for (const caller of [inOrganization, own.key('ADMIN')]) {
      const { errors } = await operation(world.app, caller, query, { id: encodeId('User', own.owner.userId!) })
      expect(errors?.map(({ code }) => code)).toEqual(['forbidden'])
    }
    expect(await codeOf(execute(as(inOrganization), deletePasskey, { id: passkey.id }))).toBe('not_found')
    expect(await codeOf(execute(as(own.key('ADMIN')), deletePasskey, { id: passkey.id }))).toBe('forbidden')
    expect(await execute(as(own.owner), deletePasskey, { id: passkey.id })).toEqual({ deletedId: passkey.id })
  })

  it('has no passkeys where the server has no name', async () => {
    const own = await createWorld()
    try {
      apiEndpoint.provide(own.app, { url: 'https://192.0.2.7' })
      const { owner } = await createTenant(own.app)
      expect(await codeOf(execute(request(own.app, owner), beginPasskeyRegistration, {}))).toBe('passkeys_unavailable')
      expect(await codeOf(beginPasskeyLogin(own.app))).toBe('passkeys_unavailable')
    } finally {
      await own.close()
    }
  })
})
