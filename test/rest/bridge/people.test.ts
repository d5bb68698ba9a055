/** The rows of the bridge for people: keys, and speed tests. Every answer is held against the document. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callerOfKey } from '../../../src/domain/access/api-key/index.ts'
import { createOdooAccount, odooPort } from '../../../src/domain/odoo/odoo-account/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { PortError } from '../../../src/platform/errors.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { bridgeDialect } from '../../../src/rest/bridge/index.ts'
import { signIn } from '../../support/person.ts'
import { startRest, type Tenant, type TestServer } from '../support.ts'

let rest: TestServer
/** Access tokens of the owners of two organizations. */
let token: string
let foreignToken: string
let account: string
let foreignAccount: string
let version: () => Promise<string | null>

const created = async ({ owner }: Tenant, name = 'ERP') => {
  const input = { name, url: 'https://erp.example.com', database: 'acme', login: 'admin', secret: 'hunter2' }
  return (await execute({ app: rest.app, caller: owner, requestId: 'test' }, createOdooAccount, input)).odooAccount.id
}

beforeAll(async () => {
  rest = await startRest([bridgeDialect])
  odooPort.provide(rest.app, { version: () => version(), logIn: async () => {}, call: async () => [{ id: 1 }] })
  version = async () => '17.0'
  token = (await signIn(rest.app, rest.acme.owner)).accessToken
  foreignToken = (await signIn(rest.app, rest.other.owner)).accessToken
  account = await created(rest.acme)
  foreignAccount = await created(rest.other)
})
afterAll(() => rest.close())

const call = (method: string, path: string, body?: object, key = token) => rest.call(method, path, { key, body })
const listed = async () => (await call('GET', '/bridge/keys')).body.data as { id: string; status: string }[]
const create = (body: object = {}) => call('POST', '/bridge/keys', { name: 'Shop', connection_id: account, ...body })

describe('a key', () => {
  it('is returned once, listed without it, and stays listed when it is revoked', async () => {
    const made = await create({ expires_at: '2099-12-31T00:00:00Z' })
    expect(made).toMatchObject({ status: 201, body: { success: true, error: null } })
    const { key, ...shown } = made.body.data
    expect(key).toMatch(/^qb_live_[\w-]{51}$/)
    expect(shown).toMatchObject({ name: 'Shop', prefix: key.slice(0, 12), expires_at: '2099-12-31T00:00:00Z', status: 'active' })
    expect(await listed()).toContainEqual(shown)
    expect(await callerOfKey(rest.app, key)).toMatchObject({ permissions: new Set(['call:odoo']) })
    const revoked = await call('DELETE', `/bridge/keys/${shown.id}`)
    expect(revoked).toMatchObject({ status: 200, body: { success: true, data: { id: shown.id, status: 'revoked' }, error: null } })
    expect(await listed()).toContainEqual({ ...shown, status: 'revoked' })
    expect(await callerOfKey(rest.app, key)).toBeNull()
    expect((await call('DELETE', `/bridge/keys/${shown.id}`)).status).toBe(200)
  })
  it('that has expired is listed as expired', async () => {
    const { id } = (await create({ expires_at: '2099-12-31T00:00:00Z' })).body.data
    await run(rest.app.db, sql`update api_key set expires_at = app_now() - interval '1 second' where id = ${id}::uuid`)
    expect(await listed()).toContainEqual(expect.objectContaining({ id, status: 'expired' }))
  })
  it.each([
    ['no name', { name: undefined }, 400, 'invalid_request', 'name: is required'],
    ['a name of blanks', { name: ' ' }, 400, 'invalid_request', 'name: must not be empty'],
    ['no account', { connection_id: undefined }, 400, 'invalid_request', 'connection_id: is required for a key of kind BRIDGE'],
    ['an unknown account', { connection_id: newId() }, 404, 'not_found', 'The object does not exist.'],
    ['an expiry in the past', { expires_at: '2001-01-01T00:00:00Z' }, 400, 'invalid_request', 'expires_at: must be in the future'],
    ['an expiry that is no time', { expires_at: 'soon' }, 400, 'invalid_request', expect.stringContaining('expires_at: ')],
  ])('with %s is refused, and nothing is created', async (_title, body, status, code, error) => {
    const before = (await listed()).length
    expect(await create(body)).toMatchObject({ status, body: { success: false, data: null, error, code } })
    expect(await listed()).toHaveLength(before)
  })
  it('is of kind BRIDGE, whatever the body says', async () => {
    const { body } = await create({ kind: 'PLATFORM', scope: 'ADMIN', permissions: ['manage:members'], projectId: newId() })
    expect(body.data.key).toMatch(/^qb_live_/)
  })
  it('of another organization, of another kind and an unknown one are answered alike', async () => {
    const { id } = (await call('POST', '/bridge/keys', { name: 'Theirs', connection_id: foreignAccount }, foreignToken)).body.data
    expect((await listed()).map((key) => key.id)).not.toContain(id)
    const caller = await callerOfKey(rest.app, rest.acme.key.READ)
    for (const other of [id, caller!.apiKeyId!, newId(), 'nope', encodeId('ApiKey', newId())]) {
      expect(await call('DELETE', `/bridge/keys/${other}`)).toMatchObject({ status: 404, body: { success: false, code: 'not_found' } })
    }
    expect(await create({ connection_id: foreignAccount })).toMatchObject({ status: 404 })
  })
})

describe('who may', () => {
  const rows = bridgeDialect.routes
    .filter((route) => route.people)
    .map(({ method, path }) => ({ method, path: path.replace('{key_id}', newId()) }))
  it('is told apart at every row', () => expect(rows).toHaveLength(5))
  it.each(rows)('$method $path: nobody without a login, and no key', async ({ method, path }) => {
    const { key } = (await create()).body.data
    const body = method === 'POST' ? {} : undefined
    expect(await rest.call(method, path, { body })).toMatchObject({ status: 401, body: { success: false, data: null } })
    expect(await call(method, path, body, rest.acme.key.ADMIN)).toMatchObject({ status: 401 })
    expect(await call(method, path, body, key)).toMatchObject({ status: 403, body: { success: false, code: 'forbidden' } })
  })
  it('is a person with the cookie of a login, for changes from a page of this server only', async () => {
    const cookie = `access_token=${token}`
    const send = (headers: Record<string, string>) =>
      rest.call('POST', '/bridge/keys', {
        body: { name: 'Page', connection_id: account },
        headers: { host: 'ship.example', cookie, ...headers },
      })
    expect((await rest.call('GET', '/bridge/keys', { headers: { cookie } })).status).toBe(200)
    expect(await send({})).toMatchObject({ status: 403, body: { success: false, code: 'forbidden' } })
    expect((await send({ origin: 'https://elsewhere.example' })).status).toBe(403)
    expect((await send({ origin: 'http://ship.example' })).status).toBe(201)
  })
})

describe('a speed test', () => {
  const test = (body: object) => call('POST', '/speed-test', body)
  const history = async (query = '') => (await call('GET', `/speed-test/history${query}`)).body.data
  it('of each type is answered and recorded, newest first', async () => {
    const light = (await test({ type: 'light' })).body
    expect(light).toMatchObject({ success: true, error: null, data: { test_type: 'light', status: 'succeeded', details: 'Odoo 17.0' } })
    const heavy = await test({ type: 'heavy', connection_id: encodeId('OdooAccount', account) })
    expect(heavy).toMatchObject({ status: 200, body: { data: { test_type: 'heavy', status: 'succeeded', details: '1 sales order' } } })
    expect(await history()).toEqual([heavy.body.data, light.data])
    expect(await history(`?connection_id=${account}&limit=1`)).toEqual([heavy.body.data])
  })
  it('that fails is answered with 200', async () => {
    version = async () => {
      throw new PortError('UNREACHABLE', 'erp.example.com cannot be reached.')
    }
    const failed = { test_type: 'light', latency_ms: null, status: 'failed', details: 'erp.example.com cannot be reached.' }
    expect(await test({ type: 'light' })).toMatchObject({ status: 200, body: { success: true, data: failed } })
  })
  it.each([
    ['no type', {}, 400, 'invalid_request'],
    ['a type of ours', { type: 'LIGHT' }, 400, 'invalid_request'],
    ['an unknown account', { type: 'light', connection_id: newId() }, 404, 'not_found'],
  ])('with %s is refused', async (_title, body, status, code) => {
    expect(await test(body)).toMatchObject({ status, body: { success: false, data: null, code } })
  })
  it('names the account where there are several', async () => {
    version = async () => '17.0'
    await created(rest.acme, 'Second')
    const error = 'connection_id: is required unless the organization has exactly one Odoo account'
    expect(await test({ type: 'light' })).toMatchObject({ status: 400, body: { error, code: 'invalid_request' } })
  })
})
