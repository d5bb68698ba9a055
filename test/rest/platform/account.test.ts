/** One's own account, and API keys managed by a person who is signed in: with the access token, or with the cookie of a login. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { authDialect } from '../../../src/rest/auth/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { password, signIn, withPassword } from '../../support/person.ts'
import { setRole } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { type Call, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let token: string
beforeAll(async () => {
  rest = await startRest([platformDialect, authDialect])
  token = (await signIn(rest.app, rest.acme.owner)).accessToken
})
afterAll(() => rest?.close())

const asOwner = (method: string, path: string, call: Call = {}) => rest.call(method, `/api${path}`, { key: token, ...call })
const create = (body: object, call: Call = {}) => asOwner('POST', '/api-keys', { body, ...call })
const works = async (key: string) => (await rest.call('GET', '/api/projects', { key })).status === 200
const listed = async (): Promise<{ id: string }[]> => (await asOwner('GET', '/api-keys')).body.api_keys
/** Host and Origin of a page of this server. */
const own = { host: 'ship.example', origin: 'http://ship.example' }

describe('users/me', () => {
  const me = () => ({
    id: rest.acme.owner.userId,
    email: 'acme@quayside.localhost',
    name: 'acme',
    active_workspace_name: 'acme',
    created_at: expect.stringMatching(/^\d{4}-.*Z$/),
  })

  it('is the user who is signed in, or who created the key', async () => {
    for (const key of [token, rest.acme.key.READ]) {
      expect(await rest.call('GET', '/api/v1/users/me', { key })).toMatchObject({ status: 200, body: me(), headers: { etag: /"\d+"/ } })
    }
  })

  it('names no organization that the caller may not see', async () => {
    const nobody = newId()
    await run(rest.app.db, sql`insert into user_account (id, name, email) values (${nobody}::uuid, 'Alone', 'alone@example.com')`)
    const { accessToken } = await signIn(rest.app, { ...rest.acme.owner, userId: nobody })
    expect(await rest.call('GET', '/api/users/me', { key: accessToken })).toMatchObject({
      status: 200,
      body: { id: nobody, email: 'alone@example.com', active_workspace_name: null },
    })
  })

  it('api-key describes the key of the request; a person who is signed in has none', async () => {
    const made = (await create({ name: 'laptop', scope: 'write', expires_at: '2999-01-02T03:04:05Z' })).body
    const key = made.plaintext_key
    const read = () => rest.call('GET', '/api/v1/users/me/api-key', { key })
    const { plaintext_key: _, ...shown } = made
    expect(await read()).toMatchObject({ status: 200, body: { ...shown, last_used_at: expect.toBeOneOf([null, expect.any(String)]) } })
    await until('the use of the key is recorded', async () => (await read()).body.last_used_at !== null)
    expect(await asOwner('GET', '/users/me/api-key')).toMatchObject({ status: 404 })
  })
})

describe('API keys', () => {
  it('are created with a scope and an expiry, and their plaintext is returned once', async () => {
    const made = await create({ name: 'pipeline', scope: 'write', expires_at: '2999-01-02T03:04:05Z' })
    expect(made).toMatchObject({
      status: 201,
      body: {
        name: 'pipeline',
        scope: 'write',
        project_id: null,
        expires_at: '2999-01-02T03:04:05Z',
        last_used_at: null,
        plaintext_key: expect.stringMatching(/^ak_live_[\w-]{51}$/),
      },
    })
    expect(made.body.key_prefix).toBe(made.body.plaintext_key.slice(0, 12))
    expect(await works(made.body.plaintext_key)).toBe(true)
    const list = await asOwner('GET', '/api-keys')
    const { plaintext_key, ...shown } = made.body
    expect(list.body.api_keys).toContainEqual({ ...shown, last_used_at: expect.toBeOneOf([null, expect.any(String)]) })
    expect(list.text).not.toContain(plaintext_key)
  })

  it('repeat no plaintext for an idempotency key', async () => {
    const send = () => create({ name: 'once', scope: 'read' }, { headers: { 'idempotency-key': 'one key' } })
    const [first, second] = [await send(), await send()]
    expect(second.body).toEqual({ ...first.body, plaintext_key: null })
  })

  it('get a new plaintext by a rotation; the former one still works for a day', async () => {
    const { id, plaintext_key: former } = (await create({ name: 'rotated', scope: 'read' })).body
    const rotated = await asOwner('POST', `/api-keys/${id}/rotate`)
    expect(rotated).toMatchObject({ status: 200, body: { id, name: 'rotated', plaintext_key: expect.stringMatching(/^ak_live_/) } })
    expect(rotated.body.plaintext_key).not.toBe(former)
    expect([await works(rotated.body.plaintext_key), await works(former)]).toEqual([true, true])
    const hours = await row<{ left: number }>(
      rest.app.db,
      sql`select extract(epoch from expires_at - app_now())::float8 / 3600 as left from api_key_hash where api_key_id = ${id}::uuid and expires_at is not null`,
    )
    expect(hours!.left).toBeGreaterThan(23)
    expect(hours!.left).toBeLessThanOrEqual(24)
  })

  it('stop working when they are deleted, and leave the list', async () => {
    const { id, plaintext_key: key } = (await create({ name: 'gone', scope: 'read' })).body
    expect(await works(key)).toBe(true)
    expect(await asOwner('DELETE', `/api-keys/${id}`)).toMatchObject({ status: 204, text: '' })
    expect(await works(key)).toBe(false)
    expect((await listed()).map((each) => each.id)).not.toContain(id)
    for (const [method, path] of [
      ['DELETE', ''],
      ['POST', '/rotate'],
    ] as const) {
      expect(await asOwner(method, `/api-keys/${id}${path}`)).toMatchObject({ status: 404 })
    }
  })

  it('of other APIs are not among them', async () => {
    const input: CommandInput = { name: 'oec', kind: 'OEC', scope: 'READ' }
    const { apiKey } = await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createApiKey, input)
    expect((await listed()).map(({ id }) => id)).not.toContain(apiKey.id)
    expect(await asOwner('DELETE', `/api-keys/${apiKey.id}`)).toMatchObject({ status: 404 })
  })

  it.each([
    [{ scope: 'read' }, 'name'],
    [{ name: 'x' }, 'scope'],
    [{ name: 'x', scope: 'READ' }, 'scope'],
    [{ name: 'x', scope: 'owner' }, 'scope'],
    [{ name: 'x', scope: 'read', expires_at: 'tomorrow' }, 'expires_at'],
    [{ name: 'x', scope: 'read', expires_at: 5 }, 'expires_at'],
    [{ name: 'x', scope: 'read', expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
  ])('%j answers 400 and names %s', async (body, field) => {
    const answer = await create(body)
    expect(answer).toMatchObject({ status: 400 })
    expect(answer.body.detail).toMatch(new RegExp(`^${field}: `))
  })

  it('are created by nobody with more permissions than they have', async () => {
    const { accessToken } = await signIn(rest.app, rest.other.owner)
    const send = (scope: string) => rest.call('POST', '/api/api-keys', { key: accessToken, body: { name: 'theirs', scope } })
    expect(await send('admin')).toMatchObject({ status: 201 })
    await setRole({ tx: rest.app.db }, rest.other.owner, 'VIEWER')
    rest.app.wake.notify('credentials')
    await until('the viewer is refused', async () => (await send('read')).status === 403)
    expect(await rest.call('GET', '/api/api-keys', { key: accessToken })).toMatchObject({ status: 200 })
    await setRole({ tx: rest.app.db }, rest.other.owner, 'OWNER')
  })
})

describe('with the cookie of a login', () => {
  let cookie: string
  beforeAll(async () => {
    const email = await withPassword(rest.app, rest.acme.owner)
    const { headers } = await rest.call('POST', '/api/auth/login', { body: { email, password } })
    cookie = [headers['set-cookie'] ?? []]
      .flat()
      .map((text) => text.split(';', 1)[0])
      .join('; ')
  })
  const send = (method: string, path: string, headers: Record<string, string>, body?: object) =>
    rest.call(method, `/api/api-keys${path}`, { headers: { cookie, ...headers }, ...(body ? { body } : {}) })

  it('a page of this server manages keys', async () => {
    const made = await send('POST', '', own, { name: 'page', scope: 'read' })
    expect(made.status).toBe(201)
    expect(await send('GET', '', own)).toMatchObject({ status: 200 })
    expect(await send('POST', `/${made.body.id}/rotate`, own)).toMatchObject({ status: 200 })
    expect(await send('DELETE', `/${made.body.id}`, own)).toMatchObject({ status: 204 })
  })

  it('a page of another site changes nothing, whatever trace of it the request has', async () => {
    const { id } = (await create({ name: 'kept', scope: 'read' })).body
    const before = await listed()
    const traces: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]
    for (const trace of traces) {
      const headers = { host: own.host, ...trace }
      expect(await send('POST', '', headers, { name: 'evil', scope: 'admin' })).toMatchObject({ status: 403 })
      expect(await send('POST', `/${id}/rotate`, headers)).toMatchObject({ status: 403 })
      expect(await send('DELETE', `/${id}`, headers)).toMatchObject({ status: 403 })
    }
    expect(await listed()).toEqual(before)
  })

  it('a program without an Origin creates a key, as the command line clients do after a login, and nothing else', async () => {
    const made = await send('POST', '', { host: own.host }, { name: 'cli', scope: 'write' })
    expect(made).toMatchObject({ status: 201, body: { plaintext_key: expect.stringMatching(/^ak_live_/) } })
    expect(await send('DELETE', `/${made.body.id}`, { host: own.host })).toMatchObject({ status: 403 })
    expect(await send('POST', `/${made.body.id}/rotate`, { host: own.host })).toMatchObject({ status: 403 })
  })

  it('an access token needs no Origin, and an API key beside the cookie is refused', async () => {
    const headers = { cookie, origin: 'https://evil.example' }
    expect(await rest.call('POST', '/api/api-keys', { key: token, headers, body: { name: 'token', scope: 'read' } })).toMatchObject({
      status: 201,
    })
    expect(await rest.call('GET', '/api/api-keys', { key: rest.acme.key.ADMIN, headers: { cookie } })).toMatchObject({ status: 403 })
  })
})
