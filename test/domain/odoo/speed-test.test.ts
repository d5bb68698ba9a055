/** Speed tests through the GraphQL API, with the real drivers against the stand-in of Odoo. */
import { afterEach, describe, expect, it } from 'vitest'
import { speedTest } from '../../../src/domain/odoo/speed-test/index.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { decodeId, encodeId, newId } from '../../../src/platform/id.ts'
import { raise } from '../../support/odoo.ts'
import { until } from '../../support/wait.ts'
import { useOdoo } from './support.ts'

const used = useOdoo({ REQUEST_TIMEOUT_MS: '1000' })
afterEach(() => {
  used.odoo.misbehave = null
  used.odoo.methods.clear()
})

const testText = `mutation ($id: ID!, $type: SpeedTestType!) {
  runSpeedTest(input: {odooAccountId: $id, type: $type}) { speedTest { id type status latencyMs testedAt details } } }`
const test = async (id: string, type = 'LIGHT') => (await used.run(testText, { id, type })).runSpeedTest.speedTest
const refused = (id: string, caller = used.tenant.owner) => used.refused(testText, { id, type: 'LIGHT' }, caller)
const history = async (id: string | null, caller = used.tenant.owner) =>
  (await used.run('query ($id: ID) { speedTests(odooAccountId: $id, first: 10) { nodes { id } totalCount } }', { id }, caller)).speedTests

describe('a light test', () => {
  it('asks for the version on a new connection, without a login, and is recorded', async () => {
    const { id } = await used.account()
    const { logins, calls, connections } = used.odoo
    const before = [logins, calls.length]
    const result = await test(id)
    expect(result).toMatchObject({ type: 'LIGHT', status: 'SUCCEEDED', details: 'Odoo 17.0', latencyMs: expect.any(Number) })
    expect([used.odoo.logins, used.odoo.calls.length]).toEqual(before)
    expect(used.odoo.connections).toBe(connections + 1)
    expect(await history(id)).toEqual({ nodes: [{ id: result.id }], totalCount: 1 })
  })
})

describe('a heavy test', () => {
  it('logs in each time and reads 25 sales orders with several fields', async () => {
    const { id } = await used.account()
    await test(id, 'HEAVY')
    const before = used.odoo.logins
    expect(await test(id, 'HEAVY')).toMatchObject({ status: 'SUCCEEDED', details: '25 sales orders', latencyMs: expect.any(Number) })
    expect(used.odoo.logins).toBe(before + 1)
    const call = used.odoo.calls.at(-1)!
    expect(call).toMatchObject({ model: 'sale.order', method: 'search_read', kwargs: { limit: 25 } })
    expect((call.kwargs.fields as string[]).length).toBeGreaterThan(3)
  })
  it('succeeds over JSON-2', async () => {
    const { id } = await used.account({ transport: 'JSON_2', secret: used.odoo.apiKey })
    expect(await test(id, 'HEAVY')).toMatchObject({ status: 'SUCCEEDED', details: '25 sales orders' })
  })
  it('fails if Odoo does not allow it, and says so without a traceback', async () => {
    const { id } = await used.account()
    used.odoo.methods.set('sale.order.search_read', () =>
      raise('odoo.exceptions.AccessError', 'You are not allowed to access Sales Orders.'),
    )
    expect(await test(id, 'HEAVY')).toMatchObject({
      ...{ type: 'HEAVY', status: 'FAILED', latencyMs: null, details: 'You are not allowed to access Sales Orders.' },
    })
  })
  it('fails if the answer is no list', async () => {
    const { id } = await used.account()
    used.odoo.methods.set('sale.order.search_read', () => false)
    expect(await test(id, 'HEAVY')).toMatchObject({ status: 'FAILED', details: 'Odoo did not answer with a list of sales orders.' })
  })
})

describe('an Odoo that fails', () => {
  it('that answers HTML is a failed test', async () => {
    const { id } = await used.account()
    used.odoo.misbehave = (_request, response) => void response.end('<html>')
    expect(await test(id)).toMatchObject({ status: 'FAILED', latencyMs: null, details: expect.stringContaining('no JSON') })
  })
  it('that does not answer is a failed test within the time of the request, and keeps other tests of the account out meanwhile', async () => {
    const { id } = await used.account()
    const another = await used.account()
    let asked = 0
    used.odoo.misbehave = () => {
      asked++
    }
    const hanging = test(id)
    await until('Odoo is asked', () => asked > 0)
    expect(await refused(id)).toMatchObject({ code: 'speed_test_in_progress' })
    used.odoo.misbehave = null
    expect(await test(another.id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(await hanging).toMatchObject({ status: 'FAILED', details: expect.stringContaining('in time') })
    expect(await test(id)).toMatchObject({ status: 'SUCCEEDED' })
    expect(await history(id)).toMatchObject({ totalCount: 2 })
  })
  it('a test whose process has gone does not keep others out for good', async () => {
    const { id } = await used.account()
    const added = sql`insert into speed_test_run (odoo_account_id, organization_id, token, expires_at)
      select id, organization_id, ${newId()}::uuid, app_now() + interval '1 minute' from odoo_account where id = ${decodeId('OdooAccount', id)}::uuid`
    await run(used.app.db, added)
    expect(await refused(id)).toMatchObject({ code: 'speed_test_in_progress' })
    await run(used.app.db, sql`update speed_test_run set expires_at = app_now() - interval '1 second'`)
    expect(await test(id)).toMatchObject({ status: 'SUCCEEDED' })
  })
})

describe('the history', () => {
  it('is newest first, of one account or all', async () => {
    const [one, other] = [await used.account(), await used.account()]
    const ids = [(await test(one.id)).id, (await test(other.id)).id, (await test(one.id)).id]
    expect((await history(one.id)).nodes.map(({ id }: { id: string }) => id)).toEqual([ids[2], ids[0]])
    expect((await history(null)).nodes.slice(0, 3).map(({ id }: { id: string }) => id)).toEqual(ids.toReversed())
  })
  it('is not seen by another organization, nor by a caller that is limited to a project', async () => {
    const { id } = await used.account()
    const tested = await test(id)
    const before = used.odoo.connections
    for (const caller of [used.other.owner, used.tenant.key('ADMIN', newId())]) {
      expect(await history(id, caller)).toEqual({ nodes: [], totalCount: 0 })
      expect((await used.run('query ($id: ID!) { node(id: $id) { id } }', { id: tested.id }, caller)).node).toBeNull()
      expect(await refused(id, caller)).toMatchObject({ code: 'not_found' })
    }
    expect(used.odoo.connections).toBe(before)
    expect(await refused(encodeId('OdooAccount', newId()))).toMatchObject({ code: 'not_found' })
    expect(await refused(id, used.tenant.key('READ'))).toMatchObject({ code: 'forbidden' })
  })
  it('ends with the account', async () => {
    const { id } = await used.account()
    await test(id)
    await used.run('mutation ($id: ID!) { deleteOdooAccount(input: {id: $id}) { deletedId } }', { id })
    expect(await history(id)).toEqual({ nodes: [], totalCount: 0 })
  })
  it('keeps what is younger than SPEED_TEST_RETENTION_MS', async () => {
    const { id } = await used.account()
    await test(id)
    const kept = await test(id)
    const retentionMs = used.app.settings.SPEED_TEST_RETENTION_MS
    await run(
      used.app.db,
      sql`update speed_test set created_at = app_now() - ${retentionMs + 1_000} * interval '1 millisecond'
          where odoo_account_id = ${decodeId('OdooAccount', id)}::uuid and id <> ${decodeId('SpeedTest', kept.id)}::uuid`,
    )
    await speedTest.chores[0]!.run(used.app, new AbortController().signal)
    expect(await history(id)).toEqual({ nodes: [{ id: kept.id }], totalCount: 1 })
  })
})
