/** `POST /call`: calls of a stand-in Odoo, what is refused before it, and everything that can go wrong behind it. */
import { pipeline, Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { revokeApiKey } from '../../../src/domain/access/api-key/index.ts'
import { flushCallRecords } from '../../../src/domain/odoo/bridge-call/index.ts'
import { holdBytes, maxBytes, maxBytesOfAccount } from '../../../src/domain/odoo/bridge-call/load.ts'
import { waitingCalls } from '../../../src/domain/odoo/bridge-call/turn.ts'
import { deleteOdooAccount, odooPort, updateOdooAccount } from '../../../src/domain/odoo/odoo-account/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { raise } from '../../support/odoo.ts'
import { until } from '../../support/wait.ts'
import { type Bridge, startBridge } from './bridge-support.ts'

let bridge: Bridge
let key: string
beforeAll(async () => {
  bridge = await startBridge({
    ODOO_MAX_ANSWER_BYTES: '200000',
    ODOO_CONCURRENCY: '2',
    CORS_ORIGINS: 'https://sheets.example.com',
  })
  key = await bridge.key()
})
afterAll(() => bridge?.close())
afterEach(() => {
  bridge.odoo.misbehave = null
  bridge.odoo.methods.clear()
})

const read = { model: 'sale.order', method: 'search_read', args: [[]], kwargs: { limit: 5, fields: ['name', 'state'] } }
const write = { model: 'res.partner', method: 'write', args: [[1], { email: 'new@example.com' }] }
const failure = (status: number, code: string, error: unknown = expect.any(String)) => ({
  status,
  body: { success: false, data: null, error, code },
})
const act = () => ({ app: bridge.app, caller: bridge.acme.owner, requestId: 'test' })
const callsOf = (method: string) => bridge.odoo.calls.filter((call) => call.method === method).length
const wake = async () => {
  bridge.app.wake.notify('credentials')
  await bridge.app.wake.next('credentials', 60_000)
}

describe('a call', () => {
  it('returns the result of the method, for a key in any header', async () => {
    const data = [1, 2, 3, 4, 5].map((id) => ({ id, name: `S0000${id}`, state: id % 3 ? 'sale' : 'draft' }))
    const answer = await bridge.send(key, read)
    expect(answer).toMatchObject({ status: 200, body: { success: true, data, error: null } })
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    const named: Record<string, string>[] = [{ 'x-api-key': key }, { 'X-Api-Key': key }, { authorization: `Bearer ${key}` }]
    for (const headers of named)
      expect(await bridge.call('POST', '/call', { body: read, headers })).toMatchObject({ status: 200, body: { data } })
    expect(await bridge.call('POST', '/call/', { body: read, key })).toMatchObject({ status: 200 })
  })

  it('needs neither args nor kwargs, and passes on whatever Odoo returns', async () => {
    expect((await bridge.send(key, { model: 'res.partner', method: 'fields_get' })).body.data).toHaveProperty('name')
    for (const result of [false, null, 0, '', [], {}, 'text']) {
      bridge.odoo.methods.set('sale.order.anything', () => result)
      expect((await bridge.send(key, { model: 'sale.order', method: 'anything', args: null, kwargs: null })).body).toEqual({
        success: true,
        data: result,
        error: null,
      })
    }
  })

  it('logs in once for many parallel calls, over few connections, and once more when Odoo no longer accepts the login', async () => {
    const own = await bridge.key()
    const [before, connections] = [bridge.odoo.logins, bridge.odoo.connections]
    const all = await Promise.all(Array.from({ length: 20 }, () => bridge.send(own, read)))
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]))
    expect(bridge.odoo.logins - before).toBe(1)
    expect(bridge.odoo.connections - connections).toBeLessThanOrEqual(2)
    bridge.odoo.renumberUser()
    const again = await Promise.all(Array.from({ length: 20 }, () => bridge.send(own, read)))
    expect(new Set(again.map(({ status }) => status))).toEqual(new Set([200]))
    expect(bridge.odoo.logins - before).toBe(2)
  })

  it('uses the new settings of an account at once', async () => {
    const id = await bridge.account()
    const own = await bridge.key({ odooAccountId: id })
    expect((await bridge.send(own, read)).status).toBe(200)
    await execute(act(), updateOdooAccount, { id, transport: 'JSON_2', secret: bridge.odoo.apiKey })
    await wake()
    const logins = bridge.odoo.logins
    expect(await bridge.send(own, read)).toMatchObject({ status: 200, body: { data: { length: 5 } } })
    expect(await bridge.send(own, { model: 'sale.order', method: 'read', args: [[1], ['name']] })).toMatchObject({ status: 200 })
    expect(bridge.odoo.logins).toBe(logins)
    bridge.odoo.methods.set('sale.order.odd', (args) => args)
    expect(await bridge.send(own, { model: 'sale.order', method: 'odd', args: [[1, 2]] })).toMatchObject({
      status: 200,
      body: { data: [[1, 2]] },
    })
    expect(await bridge.send(own, { model: 'sale.order', method: 'odd', args: [[1], 'x'] })).toMatchObject(
      failure(400, 'invalid_request', expect.stringContaining('kwargs')),
    )
    expect(await bridge.send(own, { ...read, model: 'no.model' })).toMatchObject(failure(404, 'odoo_not_found'))
  })

  it('is answered to pages of the origins in CORS_ORIGINS', async () => {
    const origin = 'https://sheets.example.com'
    const asked = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-api-key' }
    expect(await bridge.call('OPTIONS', '/call', { headers: asked })).toMatchObject({
      status: 204,
      headers: { 'access-control-allow-origin': origin, 'access-control-allow-headers': 'content-type,x-api-key' },
    })
    expect((await bridge.send(key, read, { origin })).headers['access-control-allow-origin']).toBe(origin)
    expect((await bridge.send(key, read, { origin: 'https://evil.example.com' })).headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('a key', () => {
  it('that is missing, unknown, of another API or malformed is refused', async () => {
    const reached = bridge.odoo.calls.length
    expect(await bridge.call('POST', '/call', { body: read })).toMatchObject({
      ...failure(401, 'missing_api_key'),
      headers: { 'www-authenticate': 'Bearer' },
    })
    for (const wrong of [`${key}x`, 'qb_live_nope', 'nope', bridge.acme.key.ADMIN])
      expect(await bridge.send(wrong, read)).toMatchObject(failure(401, 'invalid_api_key'))
    expect(await bridge.call('POST', '/call', { body: read, headers: { authorization: 'Basic abc', 'x-api-key': key } })).toMatchObject(
      failure(401, 'invalid_api_key'),
    )
    expect(bridge.odoo.calls.length).toBe(reached)
  })

  it('that was revoked, has expired, or whose account is gone says so', async () => {
    const odooAccountId = await bridge.account()
    const [revoked, expired, orphan] = [await bridge.key(), await bridge.key(), await bridge.key({ odooAccountId })]
    const idOf = async (text: string) =>
      (await row<{ id: string }>(bridge.app.db, sql`select id from api_key where prefix = ${text.slice(0, 12)}`))!.id
    await execute(act(), revokeApiKey, { id: await idOf(revoked) })
    await run(bridge.app.db, sql`update api_key set expires_at = app_now() - interval '1 second' where id = ${await idOf(expired)}::uuid`)
    await execute(act(), deleteOdooAccount, { id: odooAccountId })
    await wake()
    expect(await bridge.send(revoked, read)).toMatchObject(failure(401, 'key_revoked'))
    expect(await bridge.send(expired, read)).toMatchObject(failure(401, 'key_expired'))
    expect(await bridge.send(orphan, read)).toMatchObject(failure(401, 'key_revoked'))
  })

  it('calls only the models and methods that it allows', async () => {
    const some = await bridge.key({ allowedModels: ['sale.*', 'res.partner'], allowedMethods: ['search*', 'read'] })
    const status = async (model: string, method: string) => (await bridge.send(some, { model, method, args: [[]] })).status
    expect([await status('sale.order', 'search'), await status('res.partner', 'search_read'), await status('sale.order', 'read')]).toEqual([
      200, 200, 200,
    ])
    const refused = [
      ['sale', 'search'],
      ['saleorder', 'search'],
      ['res.partner.bank', 'search'],
      ['res.users', 'read'],
      ['sale.order', 'write'],
      ['sale.order', 'reads'],
    ]
    for (const [model, method] of refused)
      expect(await bridge.send(some, { model, method })).toMatchObject(failure(403, 'method_not_allowed'))
    expect(await bridge.send(key, { model: 'sale.order', method: '_compute_amount' })).toMatchObject(
      failure(403, 'method_not_allowed', expect.stringContaining('private')),
    )
  })

  it('with the scope READ only reads', async () => {
    const reader = await bridge.key({ scope: 'READ' })
    expect((await bridge.send(reader, read)).status).toBe(200)
    for (const method of ['write', 'unlink', 'action_confirm'])
      expect(await bridge.send(reader, { model: 'sale.order', method })).toMatchObject(failure(403, 'method_not_allowed'))
  })
})

describe('a body that is refused', () => {
  it.each([
    ['with comments', '{"model": "sale.order", // optional\n "method": "search_read"}'],
    ['that is cut off', '{"model": "sale.order"'],
    ['that is a list', '[]'],
    ['that is empty', ''],
  ])('%s', async (_title, payload) => {
    const answer = await bridge.call('POST', '/call', { payload, headers: { 'x-api-key': key } })
    expect(answer).toMatchObject(failure(400, 'invalid_request'))
  })

  it.each([
    [{ method: 'read' }, 'model'],
    [{ model: 'sale.order' }, 'method'],
    [{ ...read, model: '' }, 'model'],
    [{ ...read, model: 'sale order; drop' }, 'model'],
    [{ ...read, method: 'read()' }, 'method'],
    [{ ...read, args: { 0: [] } }, 'args'],
    [{ ...read, args: 'all' }, 'args'],
    [{ ...read, kwargs: [1] }, 'kwargs'],
    [{ ...read, kwargs: 'limit=5' }, 'kwargs'],
    [{ ...read, model: 5 }, 'model'],
  ])('%o', async (body, field) => {
    expect(await bridge.send(key, body)).toMatchObject(failure(400, 'invalid_request', expect.stringMatching(`^${field}: `)))
  })

  it('that is too large, or no JSON', async () => {
    expect(
      await bridge.call('POST', '/call', { payload: JSON.stringify({ ...read, kwargs: { x: 'x'.repeat(3_000_000) } }), key }),
    ).toMatchObject({ status: 413 })
    expect(
      await bridge.call('POST', '/call', { payload: 'model=x', key, headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
    ).toMatchObject({ status: 415 })
  })
})

describe('an error of Odoo', () => {
  it.each([
    ['an unknown model', { model: 'no.model', method: 'read' }, 404, 'odoo_not_found', "Object no.model doesn't exist"],
    [
      'an unknown method',
      { model: 'sale.order', method: 'nope' },
      404,
      'odoo_not_found',
      "type object 'sale.order' has no attribute 'nope'",
    ],
    ['an unknown field', { ...read, kwargs: { fields: ['nope'] } }, 422, 'odoo_error', "Invalid field 'nope'"],
  ])('for %s', async (_title, body, status, code, text) => {
    expect(await bridge.send(key, body)).toMatchObject(failure(status, code, text))
  })

  it.each([
    [
      'odoo.exceptions.AccessError',
      'You are not allowed to access sales.',
      403,
      'odoo_access_error',
      'You are not allowed to access sales.',
    ],
    ['odoo.exceptions.ValidationError', 'The name is taken.', 422, 'odoo_error', 'The name is taken.'],
    ['odoo.exceptions.UserError', 'Confirm the order first.', 422, 'odoo_error', 'Confirm the order first.'],
    ['odoo.exceptions.MissingError', 'Record does not exist.', 404, 'odoo_not_found', 'Record does not exist.'],
    [
      'builtins.TypeError',
      "read() got an unexpected keyword argument 'x'",
      422,
      'odoo_error',
      "read() got an unexpected keyword argument 'x'",
    ],
    ['builtins.AttributeError', "'NoneType' object has no attribute 'id'", 422, 'odoo_error', "'NoneType' object has no attribute 'id'"],
    [
      'builtins.AttributeError',
      "'sale.order' object has no attribute 'x'",
      404,
      'odoo_not_found',
      "'sale.order' object has no attribute 'x'",
    ],
    ['psycopg2.errors.UniqueViolation', 'duplicate key: DETAIL: Key (secret)=(42)', 422, 'odoo_error', 'Odoo raised UniqueViolation.'],
    [
      'psycopg2.OperationalError',
      'connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed: FATAL:  database "acme" does not exist',
      404,
      'odoo_not_found',
      'Odoo has no such database.',
    ],
    ['psycopg2.OperationalError', 'server closed the connection', 502, 'odoo_unreachable', 'Odoo raised OperationalError.'],
    [
      'builtins.FileNotFoundError',
      "[Errno 2] No such file: '/var/lib/odoo/filestore/acme'",
      422,
      'odoo_error',
      'Odoo raised FileNotFoundError.',
    ],
    ['odoo.exceptions.UserError', `Failed\nTraceback (most recent call last):\n  File "/opt/odoo/x.py"`, 422, 'odoo_error', 'Failed'],
    ['odoo.exceptions.UserError', '', 422, 'odoo_error', 'Odoo raised UserError.'],
  ])('%s: %s', async (name, message, status, code, text) => {
    bridge.odoo.methods.set('sale.order.raise', () => raise(name, message))
    const answer = await bridge.send(key, { model: 'sale.order', method: 'raise' })
    expect(answer).toMatchObject(failure(status, code, text))
    expect(answer.text).not.toMatch(/Traceback|\/opt\/odoo|\/var\//)
  })

  it('of 100 kB is cut', async () => {
    bridge.odoo.methods.set('sale.order.raise', () => raise('odoo.exceptions.UserError', 'x'.repeat(90_000)))
    const answer = await bridge.send(key, { model: 'sale.order', method: 'raise' })
    expect(answer).toMatchObject(failure(422, 'odoo_error'))
    expect(answer.text.length).toBeLessThan(3_000)
  })

  it('about the login is told once in a while, without asking Odoo for each call', async () => {
    const own = await bridge.key()
    const { password } = bridge.odoo
    bridge.odoo.password = 'changed-password'
    const before = bridge.odoo.logins
    for (let n = 0; n < 5; n++)
      expect(await bridge.send(own, read)).toMatchObject(failure(403, 'odoo_access_error', expect.stringContaining('login')))
    expect(bridge.odoo.logins - before).toBe(1)
    bridge.odoo.password = password
  })
})

it.each([
  ['odoo.exceptions.AccessDenied', 'Not for you.'],
  ['odoo.http.SessionExpiredException', 'Odoo raised SessionExpiredException.'],
])('%s of the method itself does not send a write twice, and is no reason to log in each time', async (name, text) => {
  const own = await bridge.key()
  await bridge.send(own, read)
  const before = bridge.odoo.logins
  const sent = callsOf('close_all')
  bridge.odoo.methods.set('sale.order.close_all', () => raise(name, 'Not for you.'))
  for (let n = 1; n <= 3; n++) {
    expect(await bridge.send(own, { model: 'sale.order', method: 'close_all' })).toMatchObject(failure(403, 'odoo_access_error', text))
    expect(callsOf('close_all') - sent).toBe(n)
  }
  expect(bridge.odoo.logins - before).toBe(1)
  expect((await bridge.send(own, read)).status).toBe(200)
})

describe('an Odoo that', () => {
  it('is down', async () => {
    const odooAccountId = await bridge.account()
    await run(bridge.app.db, sql`update odoo_account set url = 'http://127.0.0.1:1' where id = ${odooAccountId}::uuid`)
    expect(await bridge.send(await bridge.key({ odooAccountId }), read)).toMatchObject(failure(502, 'odoo_unreachable'))
  })

  it('leads to a private address, which holders of a key are not told', async () => {
    const odooAccountId = await bridge.account()
    await run(bridge.app.db, sql`update odoo_account set url = 'http://169.254.169.254' where id = ${odooAccountId}::uuid`)
    expect(await bridge.send(await bridge.key({ odooAccountId }), read)).toMatchObject(
      failure(502, 'odoo_unreachable', "The Odoo server of the key's account cannot be reached."),
    )
  })

  it('redirects, and is not followed', async () => {
    const asked: string[] = []
    bridge.odoo.misbehave = (request, response) => {
      asked.push(request.url!)
      response.writeHead(302, { location: `${bridge.odoo.url}/elsewhere` }).end()
    }
    expect(await bridge.send(key, read)).toMatchObject(failure(502, 'odoo_unreachable', expect.stringContaining('redirects')))
    expect(new Set(asked)).toEqual(new Set(['/jsonrpc']))
  })

  it('answers HTML, no JSON, other JSON, or half an answer', async () => {
    const answers = ['<!doctype html><title>Odoo</title>', '', '{"jsonrpc"', '[]', 'null', '"text"']
    for (const body of answers) {
      bridge.odoo.misbehave = (_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(body)
      expect(await bridge.send(key, read)).toMatchObject(failure(502, 'odoo_unreachable'))
    }
    bridge.odoo.misbehave = (_request, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"jsonrpc": "2.0"', () => response.destroy())
    }
    expect(await bridge.send(key, read)).toMatchObject(failure(502, 'odoo_unreachable'))
  })

  it('hangs, before its answer or within it', async () => {
    const { settings } = bridge.app
    const { ODOO_TIMEOUT_MS } = settings
    await bridge.send(key, read)
    settings.ODOO_TIMEOUT_MS = 300
    bridge.odoo.misbehave = () => {}
    expect(await bridge.send(key, read)).toMatchObject(failure(504, 'odoo_timeout'))
    bridge.odoo.misbehave = (_request, response) => void response.writeHead(200).write('{')
    expect(await bridge.send(key, read)).toMatchObject(failure(504, 'odoo_timeout'))
    settings.ODOO_TIMEOUT_MS = ODOO_TIMEOUT_MS
  })

  it('sends 20 MB is stopped while it sends', async () => {
    let sent = 0
    function* chunks() {
      for (const chunk = Buffer.alloc(100_000, 'x'); sent < 20_000_000; sent += chunk.length) yield chunk
    }
    bridge.odoo.misbehave = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      pipeline(Readable.from(chunks()), response, () => {})
    }
    expect(await bridge.send(key, read)).toMatchObject(failure(422, 'odoo_error', expect.stringContaining('200000 bytes')))
    expect(sent).toBeLessThan(20_000_000)
    bridge.odoo.misbehave = null
    expect((await bridge.send(key, read)).status).toBe(200)
  })
})

describe('after a fault on the way', () => {
  /** Closes the connection after the request was read, for a number of requests. */
  const drop = (times: number) => {
    let left = times
    const seen: string[] = []
    bridge.odoo.misbehave = (request, response, body) => {
      seen.push(JSON.parse(body).params.args[4])
      if (left-- > 0) return void request.socket.destroy()
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: 'answered' }))
    }
    return seen
  }

  it('a read is sent again, and a write never', async () => {
    await bridge.send(key, read)
    const reads = drop(1)
    expect(await bridge.send(key, read)).toMatchObject({ status: 200, body: { data: 'answered' } })
    expect(reads).toEqual(['search_read', 'search_read'])
    const writes = drop(1)
    expect(await bridge.send(key, write)).toMatchObject(failure(502, 'odoo_unreachable'))
    expect(writes).toEqual(['write'])
  })

  it('a write with an idempotency key whose outcome is unknown is not repeated', async () => {
    const headers = { 'Idempotency-Key': newId() }
    const writes = drop(1)
    expect(await bridge.send(key, write, headers)).toMatchObject(failure(502, 'odoo_unreachable'))
    expect(await bridge.send(key, write, headers)).toMatchObject(failure(409, 'outcome_unknown'))
    expect(writes).toEqual(['write'])
    expect(await bridge.send(key, write, { 'Idempotency-Key': newId() })).toMatchObject({ status: 200 })
  })
})

it('a write whose connection to the database broke may have been made', async () => {
  const headers = { 'Idempotency-Key': newId() }
  bridge.odoo.methods.set('res.partner.write', () => raise('psycopg2.OperationalError', 'server closed the connection unexpectedly'))
  expect(await bridge.send(key, write, headers)).toMatchObject(failure(502, 'odoo_unreachable'))
  expect(await bridge.send(key, write, headers)).toMatchObject(failure(409, 'outcome_unknown'))
})

it('a write whose answer is no answer of Odoo may have been made', async () => {
  for (const status of [200, 502]) {
    const headers = { 'Idempotency-Key': newId() }
    bridge.odoo.misbehave = (_request, response) => response.writeHead(status).end('<!doctype html>')
    expect(await bridge.send(key, write, headers)).toMatchObject(failure(502, 'odoo_unreachable'))
    expect(await bridge.send(key, write, headers)).toMatchObject(failure(409, 'outcome_unknown'))
  }
})

describe('a write with an idempotency key', () => {
  it('is made once, and its answer repeated', async () => {
    const headers = { 'Idempotency-Key': newId() }
    const create = { model: 'res.partner', method: 'create', args: [{ name: 'Once' }] }
    const first = await bridge.send(key, create, headers)
    expect(first).toMatchObject({ status: 200, body: { data: expect.any(Number) } })
    expect((await bridge.send(key, create, headers)).body).toEqual(first.body)
    expect(bridge.odoo.records.get('res.partner')!.filter(({ name }) => name === 'Once')).toHaveLength(1)
    expect(await bridge.send(key, { ...create, args: [{ name: 'Twice' }] }, headers)).toMatchObject(failure(422, 'idempotency_key_reused'))
  })

  it('may be sent again when Odoo refused it', async () => {
    const headers = { 'Idempotency-Key': newId() }
    bridge.odoo.methods.set('res.partner.write', () => raise('odoo.exceptions.ValidationError', 'Not today.'))
    expect(await bridge.send(key, write, headers)).toMatchObject(failure(422, 'odoo_error'))
    bridge.odoo.methods.clear()
    expect(await bridge.send(key, write, headers)).toMatchObject({ status: 200, body: { data: true } })
  })

  it('is refused while the first one is in progress', async () => {
    const headers = { 'Idempotency-Key': newId() }
    const held = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    bridge.odoo.misbehave = async (_request, response) => {
      arrived.resolve()
      await held.promise
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: true }))
    }
    const first = bridge.send(key, write, headers)
    await arrived.promise
    expect(await bridge.send(key, write, headers)).toMatchObject(failure(409, 'idempotency_in_progress'))
    held.resolve()
    expect((await first).status).toBe(200)
  })
})

it('an unexpected error is masked, and logged with the request ID of the response', async () => {
  const odoo = odooPort.use(bridge.app)
  odooPort.provide(bridge.app, { ...odoo, call: () => Promise.reject(new Error('the inner reason')) })
  const answer = await bridge.server.inject({ method: 'POST', url: '/call', payload: read, headers: { 'x-api-key': key } })
  odooPort.provide(bridge.app, odoo)
  expect({ status: answer.statusCode, body: answer.json() }).toEqual(failure(500, 'internal_error'))
  expect(answer.body).not.toContain('inner')
  const logged = bridge.app.logged.find((line) => JSON.stringify(line).includes('the inner reason'))
  expect(logged).toMatchObject({ level: 50, requestId: answer.headers['x-request-id'] })
})

it('calls of an account wait for their turn, in order, and beyond that are refused', async () => {
  const own = await bridge.key()
  await bridge.send(own, read)
  const held = Promise.withResolvers<void>()
  const order: number[] = []
  let atOnce = 0
  let most = 0
  bridge.odoo.misbehave = async (_request, response, body) => {
    most = Math.max(most, ++atOnce)
    order.push(JSON.parse(body).params.args[6].n)
    await held.promise
    await pause(1)
    atOnce--
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: 1 }))
  }
  const answers: Awaited<ReturnType<Bridge['send']>>[] = []
  const calls = Array.from({ length: 110 }, async (_, n) => {
    answers.push(await bridge.send(own, { model: 'sale.order', method: 'turn', kwargs: { n } }))
  })
  await until('the calls beyond the line are refused', () => answers.length === 8)
  for (const answer of answers) expect(answer).toMatchObject({ ...failure(429, 'rate_limited'), headers: { 'retry-after': '1' } })
  held.resolve()
  await Promise.all(calls)
  expect(answers.slice(8).filter(({ status }) => status !== 200)).toEqual([])
  expect(most).toBe(2)
  expect(order).toEqual(order.toSorted((a, b) => a - b))
  bridge.odoo.misbehave = null
  expect((await bridge.send(own, read)).status).toBe(200)
})

it('a call that waited is not sent when its key was revoked or its account deleted meanwhile', async () => {
  const held = Promise.withResolvers<void>()
  const ids = [await bridge.account(), await bridge.account()]
  const [revoked, orphan] = [await bridge.key({ odooAccountId: ids[0] }), await bridge.key({ odooAccountId: ids[1] })]
  for (const own of [revoked, orphan]) await bridge.send(own, read)
  const sent: string[] = []
  bridge.odoo.misbehave = async (_request, response, body) => {
    sent.push(JSON.parse(body).params.args[4])
    await held.promise
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: 1 }))
  }
  const running = [revoked, revoked, orphan, orphan].map((own) => bridge.send(own, { model: 'sale.order', method: 'run' }))
  await until('both lines are full', () => sent.length === 4)
  const waiting = [revoked, orphan].map((own) => bridge.send(own, write))
  const { id } = (await row<{ id: string }>(bridge.app.db, sql`select id from api_key where prefix = ${revoked.slice(0, 12)}`))!
  // What waits has passed the authentication.
  await until('both calls wait', () => waitingCalls(bridge.app, ids[0]!) === 1 && waitingCalls(bridge.app, ids[1]!) === 1)
  await execute(act(), revokeApiKey, { id })
  await execute(act(), deleteOdooAccount, { id: ids[1]! })
  await wake()
  held.resolve()
  for (const answer of await Promise.all(waiting)) expect(answer.status).toBe(401)
  for (const answer of await Promise.all(running)) expect(answer.status).toBe(200)
  expect(sent).not.toContain('write')
})

it('calls with large arguments are refused at once while those that wait or run fill the memory they may have', async () => {
  const odooAccountId = await bridge.account()
  const [own, another] = [await bridge.key({ odooAccountId }), await bridge.key()]
  const held = Promise.withResolvers<void>()
  bridge.odoo.misbehave = async (_request, response) => {
    await held.promise
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: 1 }))
  }
  const large = { model: 'sale.order', method: 'turn', kwargs: { x: 'x'.repeat(1_990_000) } }
  const answers: Awaited<ReturnType<Bridge['send']>>[] = []
  const calls = Array.from({ length: 10 }, async () => {
    answers.push(await bridge.send(own, large))
  })
  await until('the calls beyond 16 MB are refused', () => answers.length === 2)
  for (const answer of answers) expect(answer).toMatchObject({ ...failure(429, 'rate_limited'), headers: { 'retry-after': '1' } })
  const others = Array.from({ length: 3 }, () => holdBytes(bridge.app, newId(), maxBytesOfAccount))
  expect(() => holdBytes(bridge.app, newId(), maxBytes - 3 * maxBytesOfAccount)).toThrow('of all Odoo accounts')
  expect(() => holdBytes(bridge.app, odooAccountId, 1_990_000)).toThrow('of an Odoo account')
  const small = bridge.send(another, read)
  held.resolve()
  expect((await small).status).toBe(200)
  await Promise.all(calls)
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(8)
  // Nothing is counted any longer.
  others.push(holdBytes(bridge.app, odooAccountId, maxBytesOfAccount))
  for (const release of others) release()
})

it('calls are recorded without arguments and results, and counted', async () => {
  const odooAccountId = await bridge.account()
  const own = await bridge.key({ odooAccountId, name: 'recorded' })
  await bridge.send(own, { model: 'res.partner', method: 'search_read', args: [[['name', '=', 'confidential-name']]] })
  await bridge.send(own, { model: 'no.model', method: 'read' })
  await flushCallRecords(bridge.app)
  const found = await rows<Record<string, unknown>>(
    bridge.app.db,
    sql`select * from bridge_call where odoo_account_id = ${odooAccountId}::uuid order by id`,
  )
  expect(found).toMatchObject([
    { model: 'res.partner', method: 'search_read', errorCode: null, calledBy: 'recorded', durationMs: expect.any(Number) },
    { model: 'no.model', method: 'read', errorCode: 'odoo_not_found' },
  ])
  expect(JSON.stringify(found)).not.toContain('confidential')
  expect(JSON.stringify(bridge.app.logged)).not.toContain('confidential-name')
  const { text } = await bridge.call('GET', '/metrics')
  expect(text).toMatch(/quayside_odoo_call_seconds_count\{outcome="ok"\} \d+/)
  expect(text).toContain('outcome="odoo_not_found"')
  expect(callsOf('search_read')).toBeGreaterThan(0)
})
