/** Signing in over HTTP: what the clients of the contract read, cookies, and pages of other sites. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inviteMember } from '../../src/domain/access/invitation/index.ts'
import { execute } from '../../src/platform/command.ts'
import { rows, run, sql } from '../../src/platform/db/index.ts'
import { authDialect } from '../../src/rest/auth/index.ts'
import { platformDialect } from '../../src/rest/platform/index.ts'
import { provideEmail } from '../support/email.ts'
import { password, withPassword } from '../support/person.ts'
import { request } from '../support/tenant.ts'
import { type Answer, type Call, startRest, type TestServer } from './support.ts'

let rest: TestServer
let email: string

beforeAll(async () => {
  rest = await startRest([platformDialect, authDialect])
  email = await withPassword(rest.app, rest.acme.owner)
})
afterAll(() => rest?.close())

const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  rest.call('POST', `/api/auth${path}`, { body, headers })
const login = (headers: Record<string, string> = {}) => post('/login', { email, password }, headers)
/** Origin and Host of a page of this server. */
const own = { host: 'ship.example', origin: 'http://ship.example' }

const setCookies = ({ headers }: Answer): string[] => [headers['set-cookie'] ?? []].flat()
/** The Cookie header of a browser that received an answer. */
const cookiesOf = (answer: Answer) => ({
  cookie: setCookies(answer)
    .map((text) => text.split(';', 1)[0])
    .join('; '),
})

describe('a login', () => {
  it('answers with the user, beside and on top, and the tokens', async () => {
    const answer = await login()
    const user = { id: rest.acme.owner.userId, email: 'acme@quayside.localhost', name: 'acme' }
    expect(answer).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
    expect(answer.body).toEqual({
      ...user,
      user,
      accessToken: expect.stringMatching(/^eyJ/),
      refreshToken: expect.stringMatching(/^[\w-]{22}\.[\w-]{43}\.[\w-]{22}$/),
      tokenType: 'Bearer',
      expiresIn: 3_600,
    })
  })

  it('is possible by the alias, with the address in any case and spaces around it', async () => {
    expect(await rest.call('POST', '/api/v1/auth/login', { body: { email: ` ${email.toUpperCase()} `, password } })).toMatchObject({
      status: 200,
    })
  })

  it('sets cookies that scripts cannot read and other sites cannot send', async () => {
    expect(setCookies(await login())).toEqual([
      expect.stringMatching(/^access_token=eyJ[^;]+; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/),
      expect.stringMatching(/^refresh_token=[^;]+; Path=\/api\/auth; Max-Age=2592000; HttpOnly; SameSite=Lax$/),
    ])
  })

  it('answers alike for a wrong password, an unknown address, and a user without a password', async () => {
    await run(rest.app.db, sql`update user_account set password_hash = null where id = ${rest.other.owner.userId}::uuid`)
    const answers = [
      await post('/login', { email, password: 'wrong' }),
      await post('/login', { email: 'nobody@example.com', password }),
      await post('/login', { email: 'other@quayside.localhost', password }),
    ]
    const error = { code: 'unauthorized', message: 'The email address or the password is wrong.', details: { reason: 'login_failed' } }
    for (const { status, body } of answers) expect({ status, body }).toEqual({ status: 401, body: { error, detail: error.message } })
  })

  it.each([
    [{}, 'email'],
    [{ email: 'ada', password }, 'email'],
    [{ email: 'Ada <ada@example.com>', password }, 'email'],
    [{ email: 'ada@example.com\r\nBcc: x@example.com', password }, 'email'],
    [{ email: ['ada@example.com'], password }, 'email'],
    [{ email: 'ada@example.com' }, 'password'],
    [{ email: 'ada@example.com', password: '' }, 'password'],
    [{ email: 'ada@example.com', password: 'x'.repeat(257) }, 'password'],
    [{ email: 'ada@example.com', password: 'with\0nul' }, 'password'],
    [{ email: 'ada@example.com', password: { length: 8 } }, 'password'],
  ])('answers 400 for %j', async (body, field) => {
    const answer = await post('/login', body)
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'validation_error' }, detail: expect.any(String) } })
    expect(answer.body.error.details.field).toBe(field)
  })

  it('answers 400, 404, 405, 413 and 415 in its own form', async () => {
    const url = '/api/auth/login'
    const answers: [number, Answer][] = [
      [400, await rest.call('POST', url, { payload: '{' })],
      [400, await rest.call('POST', url, { payload: '[]' })],
      [404, await rest.call('GET', '/api/auth/nothing')],
      [405, await rest.call('GET', url)],
      [413, await rest.call('POST', url, { payload: `"${'x'.repeat(2 * 1024 * 1024)}"` })],
      [415, await rest.call('POST', url, { payload: 'email=a', headers: { 'content-type': 'application/x-www-form-urlencoded' } })],
    ]
    for (const [status, answer] of answers) {
      expect(answer.status).toBe(status)
      expect(answer.body).toMatchObject({ error: { code: expect.any(String), message: answer.body.detail } })
    }
  })
})

describe('a page of another site', () => {
  const foreign: Record<string, string>[] = [
    { host: 'ship.example', origin: 'http://evil.example' },
    { host: 'ship.example', origin: 'null' },
    { host: 'ship.example', 'sec-fetch-site': 'cross-site' },
    { host: 'ship.example', 'sec-fetch-site': 'same-site' },
  ]
  it.each(foreign)('%j cannot sign anybody in or out', async (headers) => {
    const signedIn = await login()
    for (const [path, body] of [
      ['/login', { email, password }],
      ['/login/2fa', { partialToken: 'x', code: '000000' }],
      ['/refresh', { refreshToken: signedIn.body.refreshToken }],
      ['/logout', {}],
    ] as const) {
      const answer = await post(path, body, { ...headers, ...cookiesOf(signedIn) })
      expect(answer).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } })
      expect(setCookies(answer)).toEqual([])
    }
    expect((await post('/refresh', {}, { ...own, ...cookiesOf(signedIn) })).status).toBe(200)
  })

  it.each(foreign)('%j cannot change anything with the cookie, but a page of this server can', async (headers) => {
    const cookies = cookiesOf(await login())
    const create = (extra: Record<string, string>) =>
      rest.call('POST', '/api/projects', { body: { name: 'Made by cookie' }, headers: { ...cookies, ...extra } })
    expect(await create(headers)).toMatchObject({ status: 403, body: { detail: expect.stringContaining('Origin') } })
    expect((await create(own)).status).toBe(201)
    expect((await create({ host: 'ship.example', 'sec-fetch-site': 'same-origin' })).status).toBe(201)
    expect((await rest.call('GET', '/api/projects', { headers: { ...cookies, ...headers } })).status).toBe(200)
  })

  it('cannot be helped by a reveal, which is no read although it is a GET', async () => {
    const cookies = cookiesOf(await login())
    const project = await rest.call('POST', '/api/web-services', { body: { name: 'revealed' }, headers: { ...cookies, ...own } })
    const reveal = (headers: Record<string, string>) =>
      rest.call('GET', `/api/web-services/${project.body.id}/env/reveal-all`, { headers: { ...cookies, ...headers } })
    expect((await reveal({ host: 'ship.example' })).status).toBe(403)
    expect((await reveal({ host: 'ship.example', 'sec-fetch-site': 'same-origin' })).status).toBe(200)
  })
})

describe('the tokens', () => {
  const get = (call: Call) => rest.call('GET', '/api/projects', call)

  it('work in Authorization, X-API-Key and the cookie; Authorization wins, also when it is the bad one', async () => {
    const signedIn = await login()
    const { accessToken } = signedIn.body
    expect((await get({ key: accessToken })).status).toBe(200)
    expect((await get({ headers: { 'x-api-key': accessToken } })).status).toBe(200)
    expect((await get({ headers: cookiesOf(signedIn) })).status).toBe(200)
    expect((await get({ key: 'bad', headers: cookiesOf(signedIn) })).status).toBe(401)
    expect((await get({ headers: { 'x-api-key': 'bad', ...cookiesOf(signedIn) } })).status).toBe(401)
    expect((await get({ headers: { cookie: `access_token=${rest.acme.key.ADMIN}` } })).status).toBe(401)
  })

  it('are refreshed from the body and from the cookie', async () => {
    const signedIn = await login()
    const byCookie = await post('/refresh', undefined, { ...own, ...cookiesOf(signedIn) })
    expect(byCookie).toMatchObject({ status: 200, body: { id: rest.acme.owner.userId } })
    expect(setCookies(byCookie)).toHaveLength(2)
    const byBody = await post('/refresh', { refreshToken: byCookie.body.refreshToken })
    expect((await get({ key: byBody.body.accessToken })).status).toBe(200)
    for (const body of [{}, { refreshToken: 'nonsense' }, { refreshToken: byBody.body.accessToken }])
      expect(await post('/refresh', body)).toMatchObject({ status: 401, body: { error: { details: { reason: 'refresh_failed' } } } })
  })

  it.each<[string, (signedIn: Answer) => [unknown, Record<string, string>]]>([
    ['the access token', ({ body }) => [{}, { authorization: `Bearer ${body.accessToken}` }]],
    ['the refresh token', ({ body }) => [{ refreshToken: body.refreshToken }, {}]],
    ['the cookies', (signedIn) => [undefined, { ...own, ...cookiesOf(signedIn) }]],
  ])('stop working after a logout by %s', async (_title, call) => {
    const signedIn = await login()
    expect((await get({ key: signedIn.body.accessToken })).status).toBe(200)
    const answer = await post('/logout', ...call(signedIn))
    expect(answer).toMatchObject({ status: 200, body: { message: 'Signed out.' } })
    expect(setCookies(answer)).toEqual([
      expect.stringMatching(/^access_token=; .*Max-Age=0/),
      expect.stringMatching(/^refresh_token=; .*Max-Age=0/),
    ])
    expect((await get({ key: signedIn.body.accessToken })).status).toBe(401)
    expect((await post('/refresh', { refreshToken: signedIn.body.refreshToken })).status).toBe(401)
  })

  it('are secure over TLS', async () => {
    const secure = await startRest([platformDialect, authDialect], { PUBLIC_URL: 'https://ship.example/' })
    const mail = await withPassword(secure.app, secure.acme.owner)
    const answer = await secure.call('POST', '/api/auth/login', {
      body: { email: mail, password },
      headers: { origin: 'https://ship.example' },
    })
    expect(setCookies(answer)).toEqual([expect.stringContaining('; Secure'), expect.stringContaining('; Secure')])
    const claims = JSON.parse(String(Buffer.from(answer.body.accessToken.split('.')[1], 'base64url')))
    expect(claims).toMatchObject({ iss: 'https://ship.example', aud: 'quayside', sub: secure.acme.owner.userId })
    await secure.close()
  })

  it('name the organization in X-Org-Slug: that of another user is not found', async () => {
    const { accessToken } = (await login()).body
    // Only rows without another dialect are asked for, since the header also selects one.
    const ask = (slug: string) => rest.call('GET', '/api/web-services', { key: accessToken, headers: { 'x-org-slug': slug } })
    expect((await ask('acme')).status).toBe(200)
    for (const slug of ['other', 'unknown']) expect((await ask(slug)).status).toBe(404)
    const withKey = await rest.call('GET', '/api/web-services', { key: rest.acme.key.READ, headers: { 'x-org-slug': 'other' } })
    expect(withKey.status).toBe(403)
  })
})

describe('a sign-up', () => {
  const person = { name: 'Ada', email: 'ada@example.com', password }

  it('needs an invitation by default', async () => {
    expect(await post('/signup', person)).toMatchObject({ status: 403, body: { error: { details: { reason: 'sign_up_closed' } } } })
    const invented = await post('/signup', { ...person, invitationToken: 'A'.repeat(43) })
    expect(invented.body.error.details.reason).toBe('invitation_invalid')
    expect(setCookies(invented)).toEqual([])
  })

  it('where it is open, is answered with 201 and the same text for every address', async () => {
    const open = await startRest([platformDialect, authDialect], { SIGN_UP: 'open' })
    const answers = await Promise.all(
      [person.email, 'acme@quayside.localhost'].map((address) =>
        open.call('POST', '/api/auth/signup', { body: { ...person, email: address } }),
      ),
    )
    for (const answer of answers) expect([answer.status, answer.text, setCookies(answer)]).toEqual([201, answers[0]!.text, []])
    const common = await open.call('POST', '/api/auth/signup', { body: { ...person, password: 'password1' } })
    expect(common).toMatchObject({ status: 422, body: { error: { details: { reason: 'password_too_common', field: 'password' } } } })
    expect(await open.call('POST', '/api/auth/signup/confirm', { body: { token: 'unknown', password } })).toMatchObject({ status: 400 })
    await open.close()
  })
})

describe('a forgotten password', () => {
  it('is answered with 200 for every address, and a bad link with 400', async () => {
    const answers = await Promise.all([email, 'nobody@example.com'].map((address) => post('/forgot-password', { email: address })))
    expect(answers[0]!.status).toBe(200)
    expect(answers[1]!.text).toBe(answers[0]!.text)
    expect(await post('/reset-password', { token: 'unknown', password: 'another horse battery' })).toMatchObject({
      status: 400,
      body: { error: { code: 'validation_error', details: { reason: 'reset_invalid' } } },
    })
  })
})

describe('an invitation', () => {
  it('is shown to whoever has its token, and to nobody else', async () => {
    const { app, acme } = rest
    provideEmail(app)
    const [role] = await rows<{ id: string }>(
      app.db,
      sql`select id from role where organization_id = ${acme.organizationId}::uuid and system = 'VIEWER'`,
    )
    const invite = (address: string) => execute(request(app, acme.owner), inviteMember, { email: address, roleId: role!.id })
    const { link, invitation } = await invite('ada@example.com')
    const [, token] = link!.split('#invitation=')
    expect(await post('/invitation', { token })).toMatchObject({
      status: 200,
      headers: { 'cache-control': 'no-store' },
      body: {
        ...{ organizationName: 'acme', email: 'ada@example.com', roleName: 'Viewer' },
        expiresAt: invitation.expiresAt.toISOString(),
      },
    })
    const invalid = { status: 422, body: { error: { code: 'unprocessable', details: { reason: 'invitation_invalid' } } } }
    await invite('ada@example.com')
    for (const bad of [token, token!.slice(1), 'unknown', '']) expect(await post('/invitation', { token: bad })).toMatchObject(invalid)
    expect((await post('/invitation', {})).status).toBe(400)
  })
})

describe('failed logins', () => {
  it('lock the account for a time that doubles, whether it exists or not; the right password then counts for nothing', async () => {
    for (const address of [email, 'nobody-else@example.com']) {
      for (let n = 0; n < 10; n++) expect((await post('/login', { email: address, password: 'wrong' })).status).toBe(401)
      const locked = await post('/login', { email: address, password })
      expect(locked).toMatchObject({ status: 429, body: { error: { code: 'rate_limited', details: { reason: 'login_locked' } } } })
      expect(Number(locked.headers['retry-after'])).toBeGreaterThan(0)
    }
    const expire = () => run(rest.app.db, sql`update login_attempt set locked_until = app_now()`)
    await expire()
    expect((await post('/login', { email, password: 'wrong' })).status).toBe(401)
    const again = await post('/login', { email, password })
    expect(Number(again.headers['retry-after'])).toBeGreaterThan(30)
    await expire()
    expect((await post('/login', { email, password })).status).toBe(200)
    expect((await post('/login', { email, password: 'wrong' })).status).toBe(401)
    expect((await post('/login', { email, password })).status).toBe(200)
  })

  it('and too many links from one client name the time to wait', async () => {
    const ask = () => post('/forgot-password', { email: 'nobody@example.com' })
    for (let n = 0; n < 30; n++) await ask()
    const refused = await ask()
    expect(refused.status).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    await run(rest.app.db, sql`delete from login_attempt`)
  })

  it('are counted from their start, so that no more are possible at once', async () => {
    const address = 'parallel@example.com'
    const answers = await Promise.all(Array.from({ length: 40 }, () => post('/login', { email: address, password: 'wrong' })))
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(30)
  })
})
