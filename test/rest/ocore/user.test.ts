/** The account of a person, without X-Org-Slug. */
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { codeAt } from '../../../src/domain/access/totp/code.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { createAuthenticator } from '../../support/authenticator.ts'
import { password, signIn } from '../../support/person.ts'
import { secretOf } from '../../support/totp.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let token: string
beforeAll(async () => {
  rest = await startRest([ocoreDialect], {}, ocoreKeys)
  token = (await signIn(rest.app, rest.acme.owner)).accessToken
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown, key = token) => rest.call(method, `/api/user${path}`, { key, body })

it('the profile is shown and renamed', async () => {
  const profile = { id: rest.acme.owner.userId, email: 'acme@quayside.localhost', name: 'acme', totpEnabled: false }
  expect(await call('GET', '')).toMatchObject({ status: 200, body: profile })
  expect(await call('PATCH', '', { name: 'Ada' })).toMatchObject({ status: 200, body: { ...profile, name: 'Ada' } })
  expect(await call('PATCH', '', { name: '' })).toMatchObject({
    status: 400,
    body: { error: { details: { field: 'name', constraint: 'min_length' } } },
  })
  expect((await call('GET', '')).body.name).toBe('Ada')
})

const forbidden = { status: 403, body: { error: { code: 'forbidden' } } }

it('a session is listed as the current one or another, and ended', async () => {
  const other = (await signIn(rest.app, rest.acme.owner)).accessToken
  const { data } = (await call('GET', '/sessions', undefined, other)).body
  expect(data.map(({ current }: { current: boolean }) => current)).toEqual([true, false])
  expect(await call('DELETE', `/sessions/${data[0].id}`)).toMatchObject({ status: 200, body: { message: 'Session ended' } })
  expect(await call('GET', '', undefined, other)).toMatchObject({ status: 401 })
  expect((await call('GET', '/sessions')).body.data).toMatchObject([{ id: data[1].id, current: true }])
})

it('the password changes, with the current one only, and ends the other sessions', async () => {
  const other = (await signIn(rest.app, rest.acme.owner)).accessToken
  const change = (currentPassword: string, newPassword: string) => call('POST', '/change-password', { currentPassword, newPassword })
  expect(await change('not the password', 'a better horse battery')).toMatchObject({
    status: 403,
    body: { error: { details: { field: 'currentPassword', constraint: 'wrong_password' } } },
  })
  expect(await change(password, 'short')).toMatchObject({ status: 400, body: { error: { details: { field: 'newPassword' } } } })
  expect(await change(password, 'a better horse battery')).toMatchObject({ status: 200, body: { message: 'Password changed' } })
  expect(await call('GET', '', undefined, other)).toMatchObject({ status: 401 })
  expect(await call('GET', '')).toMatchObject({ status: 200 })
})

it('one-time passwords are set up, enabled with a code, which returns eight recovery codes, and disabled with one of them', async () => {
  expect(await call('POST', '/totp/enable', { code: '123456' })).toMatchObject({
    status: 422,
    body: { error: { message: 'One-time passwords are not set up. Call POST /user/totp/setup first.' } },
  })
  const { secret, otpauthUrl } = (await call('POST', '/totp/setup')).body
  expect(new URL(otpauthUrl).searchParams.get('secret')).toBe(secret)
  expect(await call('POST', '/totp/enable', { code: '000000' })).toMatchObject(forbidden)
  const { step } = (await row<{ step: number }>(rest.app.db, sql`select floor(extract(epoch from app_now()) / 30)::int as step`))!
  const { recoveryCodes } = (await call('POST', '/totp/enable', { code: codeAt(secretOf(otpauthUrl), step) })).body
  expect(new Set(recoveryCodes).size).toBe(8)
  expect((await call('GET', '')).body.totpEnabled).toBe(true)
  expect(await call('POST', '/totp/setup')).toMatchObject({ status: 422 })
  expect(await call('POST', '/totp/disable', { code: '000000' })).toMatchObject(forbidden)
  expect(await call('POST', '/totp/disable', { code: recoveryCodes[0] })).toMatchObject({ status: 200 })
  expect((await call('GET', '')).body.totpEnabled).toBe(false)
})

it('an SSH key is added once, listed and deleted', async () => {
  const publicKey = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(12)
  const part = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes])
  const text = `ssh-ed25519 ${Buffer.concat([part(Buffer.from('ssh-ed25519')), part(publicKey)]).toString('base64')} ada@laptop`
  const added = await call('POST', '/ssh-keys', { label: 'laptop', publicKey: text })
  expect(added).toMatchObject({ status: 201, body: { label: 'laptop', keyType: 'ssh-ed25519', lastUsedAt: null } })
  expect(added.body.fingerprint).toMatch(/^SHA256:/)
  expect((await call('GET', '/ssh-keys')).body).toEqual({ data: [added.body], has_more: false })
  expect(await call('POST', '/ssh-keys', { label: 'again', publicKey: text })).toMatchObject({ status: 409 })
  expect(await call('POST', '/ssh-keys', { label: 'bad', publicKey: 'ssh-ed25519 AAAA' })).toMatchObject({
    status: 400,
    body: { error: { details: { field: 'publicKey' } } },
  })
  expect(await call('DELETE', `/ssh-keys/${added.body.id}`)).toMatchObject({ status: 200 })
  expect((await call('GET', '/ssh-keys')).body.data).toEqual([])
})

it('a passkey is registered with what the authenticator made of the options, listed and deleted', async () => {
  const authenticator = createAuthenticator()
  const { body: options } = await call('POST', '/passkeys/register/begin')
  const made = await call('POST', '/passkeys/register/finish', { deviceName: 'laptop', response: authenticator.create(options) })
  expect(made).toMatchObject({ status: 200, body: { deviceName: 'laptop', transport: 'internal', lastUsedAt: null } })
  expect((await call('POST', '/passkeys/register/begin')).body.excludeCredentials).toHaveLength(1)
  expect(await call('POST', '/passkeys/register/finish', { deviceName: 'late', response: authenticator.create(options) })).toMatchObject({
    status: 422,
    body: { error: { code: 'unprocessable' } },
  })
  expect((await call('GET', '/passkeys')).body).toEqual({ data: [made.body], has_more: false })
  expect(await call('DELETE', `/passkeys/${made.body.id}`)).toMatchObject({ status: 200 })
  expect((await call('GET', '/passkeys')).body.data).toEqual([])
})

it('signing in differently needs a recent login', async () => {
  await run(rest.app.db, sql`update session set created_at = app_now() - interval '11 minutes'`)
  for (const path of ['/totp/setup', '/passkeys/register/begin']) expect(await call('POST', path)).toMatchObject(forbidden)
})
