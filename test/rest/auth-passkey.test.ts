/** Signing in with a passkey over HTTP, with a software authenticator. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { beginPasskeyRegistration, finishPasskeyRegistration } from '../../src/domain/access/passkey/index.ts'
import { codeAt } from '../../src/domain/access/totp/code.ts'
import { enableTotp, setUpTotp } from '../../src/domain/access/totp/index.ts'
import { execute } from '../../src/platform/command.ts'
import { authDialect } from '../../src/rest/auth/index.ts'
import { createAuthenticator } from '../support/authenticator.ts'
import { password, withPassword } from '../support/person.ts'
import { secretOf } from '../support/totp.ts'
import { startRest, type TestServer } from './support.ts'

let rest: TestServer
const authenticator = createAuthenticator()

beforeAll(async () => {
  rest = await startRest([authDialect])
  const request = { app: rest.app, caller: rest.acme.owner, requestId: 'test' }
  const { options } = await execute(request, beginPasskeyRegistration, {})
  await execute(request, finishPasskeyRegistration, { name: 'laptop', response: authenticator.create(options) })
})
afterAll(() => rest?.close())

const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  rest.call('POST', `/api/auth${path}`, { body, headers })
const begin = async () => (await post('/passkey/begin')).body

it('answers with the user, the tokens and their cookies, without a second factor', async () => {
  const email = await withPassword(rest.app, rest.acme.owner)
  const options = await post('/passkey/begin')
  expect(options).toMatchObject({ status: 200, body: { rpId: 'localhost', userVerification: 'required', allowCredentials: [] } })
  const answer = await post('/passkey/finish', authenticator.get(options.body))
  const user = { id: rest.acme.owner.userId, email, name: 'acme' }
  expect(answer).toMatchObject({ status: 200, body: { ...user, user, accessToken: expect.stringMatching(/^eyJ/), tokenType: 'Bearer' } })
  expect([answer.headers['set-cookie']].flat()).toEqual([
    expect.stringMatching(/^access_token=eyJ.*; HttpOnly; SameSite=Lax/),
    expect.stringMatching(/^refresh_token=.*; HttpOnly; SameSite=Lax/),
  ])
})

it('refuses a wrong response alike, whether the passkey exists or not, and garbage', async () => {
  const known = authenticator.get(await begin(), { origin: 'https://evil.example' })
  const unknown = createAuthenticator().get(await begin(), { userHandle: 'AAAA' })
  const answers = await Promise.all([known, unknown].map((response) => post('/passkey/finish', response)))
  for (const { status, body } of answers)
    expect({ status, body }).toEqual({ status: 401, body: { ...answers[0]!.body, detail: expect.stringContaining('not accepted') } })
  expect((await post('/passkey/finish', {})).status).toBe(400)
  expect((await post('/passkey/finish', { ...known, response: { ...known.response, signature: 1 } })).status).toBe(400)
})

it('refuses a page of another site', async () => {
  const headers = { host: 'ship.example', origin: 'https://evil.example' }
  expect((await post('/passkey/finish', authenticator.get(await begin()), headers)).status).toBe(403)
})

it('takes the code of an app after the password', async () => {
  const request = { app: rest.app, caller: rest.other.owner, requestId: 'test' }
  const email = await withPassword(rest.app, rest.other.owner)
  const { otpauthUrl } = await execute(request, setUpTotp, {})
  const bytes = secretOf(otpauthUrl!)
  const step = Math.floor(Date.now() / 30_000)
  const { recoveryCodes } = await execute(request, enableTotp, { code: codeAt(bytes, step) })
  const first = await post('/login', { email, password })
  expect(first).toMatchObject({ status: 200, body: { requiresTOTP: true, partialToken: expect.any(String) } })
  expect(first.headers['set-cookie']).toBeUndefined()
  const { partialToken } = first.body
  expect((await post('/login/2fa', { partialToken, code: codeAt(bytes, step) })).status).toBe(401)
  const second = await post('/login/2fa', { partialToken, code: recoveryCodes![0] })
  expect(second).toMatchObject({ status: 200, body: { email, accessToken: expect.stringMatching(/^eyJ/) } })
})
