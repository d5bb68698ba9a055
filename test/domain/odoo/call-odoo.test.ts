/** `callOdoo` and the records of calls, through the GraphQL API. */
import { afterEach, describe, expect, it } from 'vitest'
import { flushCallRecords } from '../../../src/domain/odoo/bridge-call/index.ts'
import { expireBridgeCalls } from '../../../src/domain/odoo/bridge-call/retention.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { useOdoo } from './support.ts'

const used = useOdoo()
afterEach(() => {
  used.odoo.misbehave = null
})

const text = 'mutation ($input: CallOdooInput!) { callOdoo(input: $input) { data } }'
const call = async (input: Record<string, unknown>) => (await used.run(text, { input })).callOdoo.data
const recorded = async (id: string, args = '') => {
  await flushCallRecords(used.app)
  const source = `query ($id: ID!) { odooAccount(id: $id) { bridgeCalls(first: 10${args}) { totalCount nodes { id calledBy model method outcome errorCode odooAccount { id } } } } }`
  return (await used.run(source, { id })).odooAccount.bridgeCalls
}

describe('callOdoo', () => {
  it('calls any method that is not private, with positional and named arguments', async () => {
    const { id: odooAccountId } = await used.account()
    const order = { odooAccountId, model: 'sale.order' }
    expect(await call({ ...order, method: 'search_read', args: [[['id', '=', 3]]], kwargs: { fields: ['name'] } })).toEqual([
      { id: 3, name: 'S00003' },
    ])
    expect(await call({ ...order, method: 'search_count' })).toBe(40)
    expect(await used.refused(text, { input: { ...order, method: '_write' } })).toMatchObject({
      code: 'method_not_allowed',
      field: 'method',
    })
    expect(await used.refused(text, { input: { ...order, model: 'no.model', method: 'read' } })).toMatchObject({ code: 'odoo_not_found' })
    expect(await used.refused(text, { input: { ...order, method: 'read', args: 'all' } })).toMatchObject({
      code: 'invalid_input',
      field: 'args',
    })
  })

  it('needs the permission, and an account that the caller sees', async () => {
    const { id: odooAccountId } = await used.account()
    const input = { odooAccountId, model: 'sale.order', method: 'search_count' }
    expect(await used.refused(text, { input }, used.tenant.key('READ'))).toMatchObject({ code: 'forbidden' })
    for (const caller of [used.other.owner, used.tenant.key('ADMIN', newId())])
      expect(await used.refused(text, { input }, caller)).toMatchObject({ code: 'not_found', field: 'odooAccountId' })
  })

  it('writes once for an idempotency key', async () => {
    const { id: odooAccountId } = await used.account()
    const input = { odooAccountId, model: 'res.partner', method: 'create', args: [{ name: 'Twice' }], idempotencyKey: newId() }
    const id = await call(input)
    expect(await call(input)).toBe(id)
    expect(used.odoo.records.get('res.partner')!.filter(({ name }) => name === 'Twice')).toHaveLength(1)
  })

  it('ends before the request does, when Odoo hangs', async () => {
    const { id: odooAccountId } = await used.account()
    const { settings } = used.app
    const { REQUEST_TIMEOUT_MS } = settings
    settings.REQUEST_TIMEOUT_MS = 300
    used.odoo.misbehave = () => {}
    expect(await used.refused(text, { input: { odooAccountId, model: 'sale.order', method: 'search_count' } })).toMatchObject({
      code: 'odoo_timeout',
    })
    settings.REQUEST_TIMEOUT_MS = REQUEST_TIMEOUT_MS
  })
})

describe('records of calls', () => {
  it('show who called what and how it ended, newest first, and outlive the account', async () => {
    const { id: odooAccountId } = await used.account()
    await call({ odooAccountId, model: 'sale.order', method: 'search_count' })
    await used.refused(text, { input: { odooAccountId, model: 'no.model', method: 'read' } })
    const common = { calledBy: used.tenant.owner.subject.name, odooAccount: { id: odooAccountId } }
    const found = await recorded(odooAccountId)
    expect(found).toMatchObject({
      totalCount: 2,
      nodes: [
        { ...common, model: 'no.model', method: 'read', outcome: 'FAILED', errorCode: 'odoo_not_found' },
        { ...common, model: 'sale.order', method: 'search_count', outcome: 'SUCCEEDED', errorCode: null },
      ],
    })
    expect((await recorded(odooAccountId, ', outcome: FAILED')).totalCount).toBe(1)
    const list = 'query ($id: ID!) { bridgeCalls(odooAccountId: $id) { totalCount nodes { odooAccount { id } } } }'
    expect((await used.run(list, { id: odooAccountId }, used.other.owner)).bridgeCalls.totalCount).toBe(0)
    await used.run('mutation ($id: ID!) { deleteOdooAccount(input: {id: $id}) { deletedId } }', { id: odooAccountId })
    expect((await used.run(list, { id: odooAccountId })).bridgeCalls).toEqual({
      totalCount: 2,
      nodes: [{ odooAccount: null }, { odooAccount: null }],
    })
  })

  it('are removed by age', async () => {
    const { id: odooAccountId } = await used.account()
    await call({ odooAccountId, model: 'sale.order', method: 'search_count' })
    await call({ odooAccountId, model: 'sale.order', method: 'search_count' })
    const [first] = (await recorded(odooAccountId)).nodes
    await run(used.app.db, sql`update bridge_call set created_at = app_now() - interval '8 days' where method = 'search_count'`)
    await call({ odooAccountId, model: 'sale.order', method: 'search' })
    await flushCallRecords(used.app)
    await expireBridgeCalls.run(used.app, new AbortController().signal)
    expect((await recorded(odooAccountId)).nodes).toMatchObject([{ method: 'search' }])
    expect(await used.run('query ($id: ID!) { node(id: $id) { id } }', { id: first.id })).toEqual({ node: null })
  })

  it('are kept while the database is away, and written afterwards', async () => {
    const { id: odooAccountId } = await used.account()
    await call({ odooAccountId, model: 'sale.order', method: 'search_count' })
    await run(used.app.db, sql`alter table bridge_call rename to bridge_call_away`)
    await flushCallRecords(used.app)
    await run(used.app.db, sql`alter table bridge_call_away rename to bridge_call`)
    expect((await recorded(odooAccountId)).totalCount).toBe(1)
  })
})
