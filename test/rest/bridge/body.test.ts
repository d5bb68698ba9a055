/** Bodies of `POST /call`, and answers of Odoo, that are large or odd. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { type Bridge, startBridge } from './bridge-support.ts'

let bridge: Bridge
let key: string
beforeAll(async () => {
  bridge = await startBridge()
  key = await bridge.key()
})
afterAll(() => bridge?.close())
afterEach(() => {
  bridge.odoo.misbehave = null
})

const create = (values: unknown) => ({ model: 'res.partner', method: 'create', args: [values] })
const failure = (status: number, code: string, error: unknown) => ({ status, body: { success: false, data: null, error, code } })
const nested = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`

it('a write of 15,000 records with two fields is one call', async () => {
  const records = Array.from({ length: 15_000 }, (_, n) => ({ name: `n${n}`, code: n }))
  expect(await bridge.send(key, create(records))).toMatchObject({ status: 200, body: { data: { length: 15_000 } } })
})

it('more than 100,000 values are too many, and the error says so', async () => {
  expect(await bridge.send(key, create(Array(100_000).fill(1)))).toMatchObject(
    failure(413, 'payload_too_large', 'A JSON body must not contain more than 100000 values.'),
  )
})

it.each([102, 3_000, 4_500])('a body that is nested %i levels deep is refused, with and without an idempotency key', async (depth) => {
  const payload = `{"model": "res.partner", "method": "create", "args": ${nested(depth)}}`
  const text = 'A JSON body must not be nested more than 100 levels deep.'
  const cases: Record<string, string>[] = [{}, { 'idempotency-key': newId() }]
  for (const headers of cases)
    expect(await bridge.call('POST', '/call', { payload, key, headers })).toMatchObject(failure(400, 'invalid_request', text))
})

it('an answer of Odoo that is nested 200,000 levels deep is an error of Odoo', async () => {
  bridge.odoo.misbehave = (_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc": "2.0", "result": ${nested(200_000)}}`)
  expect(await bridge.send(key, { model: 'res.partner', method: 'read' })).toMatchObject(
    failure(422, 'odoo_error', 'The answer of Odoo is nested more than 1000 levels deep.'),
  )
})

it('a result that is kept for an idempotency key is sealed, also when the data key has changed since', async () => {
  const headers = { 'idempotency-key': newId() }
  bridge.odoo.methods.set('res.partner.tell', () => 'known to few')
  const tell = { model: 'res.partner', method: 'tell' }
  expect(await bridge.send(key, tell, headers)).toMatchObject({ status: 200, body: { data: 'known to few' } })
  const kept = await rows<{ answer: Uint8Array }>(
    bridge.app.db,
    sql`select answer from idempotency where key = ${headers['idempotency-key']}`,
  )
  expect(kept).toHaveLength(1)
  expect(Buffer.from(kept[0]!.answer).toString('latin1')).not.toContain('few')
  await bridge.app.keyring.rotateDataKey(bridge.app.db, bridge.acme.organizationId)
  bridge.odoo.methods.clear()
  expect(await bridge.send(key, tell, headers)).toMatchObject({ status: 200, body: { data: 'known to few' } })
})

it.each(['{"__proto__": 1}', '{"constructor": {"prototype": 1}}'])('a body with %s is told what is wrong', async (value) => {
  const payload = `{"model": "res.partner", "method": "create", "args": [${value}]}`
  expect(await bridge.call('POST', '/call', { payload, key })).toMatchObject(
    failure(400, 'invalid_request', expect.stringContaining('must not contain fields named')),
  )
})

it('an empty idempotency key is refused', async () => {
  expect(await bridge.send(key, create({ name: 'Never' }), { 'idempotency-key': '' })).toMatchObject(
    failure(400, 'invalid_request', expect.stringContaining('must not be empty')),
  )
})
