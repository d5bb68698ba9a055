import { createClient } from 'graphql-ws'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { until } from '../support/wait.ts'
import { type Body, caller, key, RawSocket, serverForTest, startServer, type TestServer } from './support.ts'

let api: TestServer
beforeEach(async () => {
  api = await startServer({ times: { initTimeoutMs: 10_000, checkCredentialsEveryMs: 50 } })
})
afterEach(() => api.close())

const socket = (protocol?: string | string[], headers?: Record<string, string>, url = api.wsUrl) => {
  const made = new RawSocket(url, protocol, headers)
  onTestFinished(() => made.ws.terminate())
  return made
}

describe('close codes', () => {
  it.each([
    ['is not JSON', 'hello'],
    ['has no type', { id: '1' }],
    ['has an unknown type', { type: 'start' }],
    ['is a subscribe without a query', { type: 'subscribe', id: '1', payload: {} }],
    ['is a subscribe without an id', { type: 'subscribe', payload: { query: '{ hello }' } }],
  ])('4400 for a message that %s', async (_name, message) => {
    const client = await socket().init()
    client.send(message)
    expect((await client.closed())[0]).toBe(4400)
  })
  it('4400 for a binary message', async () => {
    const client = await socket().init()
    client.ws.send(Buffer.from([0x7b, 0xff, 0x7d]))
    expect((await client.closed())[0]).toBe(4400)
  })
  it('1007 for a text message that is not valid UTF-8', async () => {
    const client = await socket().init()
    client.ws.send(Buffer.from([0x7b, 0xff, 0x7d]), { binary: false })
    expect((await client.closed())[0]).toBe(1007)
  })
  it('4401 for subscribe before the acknowledgement', async () => {
    const client = await socket().open()
    client.subscribe('1', '{ hello }')
    expect(await client.closed()).toEqual([4401, 'Unauthorized'])
  })
  it('4403 for a missing or bad credential', async () => {
    for (const payload of [undefined, {}, { authorization: 'Bearer other' }, { apiKey: 'other' }, { authorization: key }, { apiKey: 1 }]) {
      const client = await socket().open()
      client.send({ type: 'connection_init', payload })
      expect([payload, await client.closed()]).toEqual([payload, [4403, 'Forbidden']])
    }
  })
  it('4406 for another subprotocol', async () => {
    expect((await socket('graphql-ws').closed())[0]).toBe(4406)
  })
  it('4408 for a client that does not send connection_init in time', async () => {
    const api = await serverForTest({ times: { initTimeoutMs: 50 } })
    expect((await socket(undefined, {}, api.wsUrl).closed())[0]).toBe(4408)
  })
  it('4409 for an id that is in use', async () => {
    const client = await socket().init()
    client.subscribe('1', 'subscription { silent { n } }')
    await client.got('next', '1')
    client.subscribe('1', 'subscription { silent { n } }')
    expect(await client.closed()).toEqual([4409, 'Subscriber for 1 already exists'])
    await until('the source has ended', () => api.probe.open === 0)
  })
  it('4429 for a second connection_init', async () => {
    const client = await socket().init()
    client.send({ type: 'connection_init' })
    expect((await client.closed())[0]).toBe(4429)
  })
  it('4500 without a reason when a credential cannot be checked', async () => {
    const api = await serverForTest({
      authenticate: async () => {
        throw new Error('the password is hunter2')
      },
    })
    const client = await socket(undefined, {}, api.wsUrl).open()
    client.send({ type: 'connection_init', payload: { apiKey: key } })
    expect(await client.closed()).toEqual([4500, 'Internal server error'])
  })
  it('1013 for a bad credential from an address that has sent too many of them', async () => {
    const server = await serverForTest({ realKeys: true, settings: { RATE_LIMITS: 'authentication=2' } })
    server.app.clock = { now: () => new Date(), elapsedMs: () => 0 }
    const codes: number[] = []
    for (const name of ['one', 'two', 'three']) {
      const client = await new RawSocket(server.wsUrl).open()
      client.send({ type: 'connection_init', payload: { authorization: `Bearer ak_live_${name}-unknown` } })
      codes.push((await client.closed())[0])
    }
    expect(codes).toEqual([4403, 4403, 1013])
  })

  it('1009 for a message over 2 MB', async () => {
    const client = await socket().init()
    client.send({ type: 'ping', payload: { filler: 'x'.repeat(2 * 1024 * 1024) } })
    expect((await client.closed())[0]).toBe(1009)
  })
  it('1001 when the server stops', async () => {
    const client = await socket().init()
    client.subscribe('1', 'subscription { silent { n } }')
    await client.got('next', '1')
    await api.close()
    expect([await client.closed(), api.probe.open]).toEqual([[1001, 'Going away'], 0])
  })
})

describe('credentials', () => {
  it('are taken from the cookie of an upgrade that a page of this server asked for', async () => {
    const cookie = `access_token=${key}`
    const own = socket(undefined, { cookie, origin: new URL(api.url).origin })
    await own.init({})
    for (const headers of [{ cookie }, { cookie, origin: 'http://evil.example' }] as Record<string, string>[]) {
      const foreign = await socket(undefined, headers).open()
      foreign.send({ type: 'connection_init' })
      expect(await foreign.closed()).toEqual([4403, 'Forbidden'])
    }
  })
  it.each([
    ['authorization', { authorization: `Bearer ${key}` }],
    ['Authorization', { Authorization: `Bearer ${key}` }],
    ['apiKey', { apiKey: key }],
    ['APIKEY', { APIKEY: key }],
    ['a good authorization beside a bad apiKey', { apiKey: 'other', authorization: `Bearer ${key}` }],
  ])('are taken from connectionParams: %s', async (_name, payload) => {
    const client = await socket().init(payload)
    client.subscribe('1', '{ me }')
    expect((await client.got('next', '1')).payload).toEqual({ data: { me: 'test' } })
  })
  it('are taken from the headers of the upgrade if the parameters contain none', async () => {
    const both: Record<string, string>[] = [{ authorization: `Bearer ${key}` }, { 'x-api-key': key }]
    for (const headers of both) await socket(undefined, headers).init({ other: 1 })
  })
  it('in the parameters take precedence over the headers, even if they are invalid', async () => {
    for (const payload of [{ apiKey: 'other' }, { authorization: `Bearer other`, apiKey: key }]) {
      const client = await socket(undefined, { authorization: `Bearer ${key}` }).open()
      client.send({ type: 'connection_init', payload })
      expect((await client.closed())[0]).toBe(4403)
    }
  })
  it('close all their sockets, and no others, when they are revoked', async () => {
    const api = await serverForTest({ times: { checkCredentialsEveryMs: 600_000 } })
    api.keys.set('second', caller())
    const [first, again, other] = await Promise.all([key, key, 'second'].map((apiKey) => socket(undefined, {}, api.wsUrl).init({ apiKey })))
    first!.subscribe('1', 'subscription { silent { n } }')
    await first!.got('next', '1')
    api.keys.delete(key)
    api.app.wake.notify('credentials')
    expect([await first!.closed(), await again!.closed()]).toEqual([
      [4403, 'Forbidden'],
      [4403, 'Forbidden'],
    ])
    await until('the source has ended', () => api.probe.open === 0)
    other!.subscribe('1', '{ me }')
    await other!.got('next', '1')
  })
  it('close their socket at the next check when they are revoked without a wake-up', async () => {
    const client = await socket().init()
    api.keys.delete(key)
    expect((await client.closed())[0]).toBe(4403)
  })
})

describe('operations', () => {
  it('queries and mutations answer with next and complete', async () => {
    const client = await socket().init()
    client.subscribe('q', '{ hello }')
    await client.got('complete', 'q')
    client.subscribe('m', 'mutation { put(input: { name: "a" }) { item { id } } }')
    await client.got('complete', 'm')
    expect(client.messages.slice(1).map(({ type, id }) => `${type} ${id}`)).toEqual(['next q', 'complete q', 'next m', 'complete m'])
  })
  it('a subscription runs with the graphql-ws client, and ends', async () => {
    const client = createClient({ url: api.wsUrl, webSocketImpl: WebSocket, connectionParams: { apiKey: key }, retryAttempts: 0 })
    const seen: unknown[] = []
    for await (const result of client.iterate({ query: 'subscription { ticks(count: 3) { n } }' })) seen.push(result.data)
    expect(seen).toEqual([{ ticks: { n: 1 } }, { ticks: { n: 2 } }, { ticks: { n: 3 } }])
    await client.dispose()
  })
  it.each([
    ['a document that is not GraphQL', '{', 'graphql_parse_failed'],
    ['a document that is not valid', '{ hallo }', 'graphql_validation_failed'],
    ['a document beyond a limit', `{ ${'hello '.repeat(21)} }`, 'query_limit_exceeded'],
  ])('%s is answered with error', async (_name, query, code) => {
    const client = await socket().init()
    client.subscribe('1', query)
    const { payload } = await client.got('error', '1')
    expect(payload).toMatchObject([{ message: expect.any(String), extensions: { code, kind: 'invalid', requestId: expect.any(String) } }])
  })
  it('errors of fields and of variables are the same as over HTTP', async () => {
    const client = await socket().init()
    client.subscribe('1', '{ missing boom }')
    const { errors } = (await client.got('next', '1')).payload as Body
    expect(errors!.map((error) => error.extensions.code).sort()).toEqual(['internal', 'not_found'])
    client.subscribe('2', 'query ($f: Filter!) { echo(filter: $f) }', { f: { name: 1 } })
    expect((await client.got('next', '2')).payload).toMatchObject({ errors: [{ extensions: { code: 'invalid_input', field: 'name' } }] })
  })
  it('a source that fails sends its masked error and completes', async () => {
    const client = await socket().init()
    client.subscribe('1', 'subscription { failing { n } }')
    await client.got('complete', '1')
    const [first, second] = client.messages.filter((message) => message.type === 'next')
    expect(first!.payload).toEqual({ data: { failing: { n: 1 } } })
    expect(second!.payload).toMatchObject({ errors: [{ extensions: { code: 'internal' } }] })
    expect(JSON.stringify(client.messages)).not.toContain('hunter2')
  })
  it('the deadline applies to queries and not to subscriptions', async () => {
    const api = await serverForTest({ settings: { REQUEST_TIMEOUT_MS: '50' } })
    const client = await socket(undefined, {}, api.wsUrl).init()
    client.subscribe('s', 'subscription { silent { n } }')
    await client.got('next', 's')
    client.subscribe('q', '{ slow }')
    expect((await client.got('next', 'q')).payload).toMatchObject({ errors: [{ extensions: { code: 'timeout' } }] })
    expect([api.probe.open, client.messages.some(({ type, id }) => type === 'complete' && id === 's')]).toEqual([1, false])
  })
  it('a query is aborted when the client completes it, and the socket stays open', async () => {
    const api = await serverForTest()
    const client = await socket(undefined, {}, api.wsUrl).init()
    client.subscribe('q', '{ slow }')
    await until('the work has begun', () => api.probe.slowBegun === 1)
    client.send({ type: 'complete', id: 'q' })
    await until('the work was aborted', () => api.probe.slowAborted === 1)
    client.subscribe('r', '{ hello }')
    expect((await client.got('next', 'r')).payload).toEqual({ data: { hello: 'world' } })
  })
  it('a ping is answered with a pong', async () => {
    const client = await socket().init()
    client.send({ type: 'ping', payload: { n: 1 } })
    expect((await client.got('pong')).payload).toEqual({ n: 1 })
  })
})

describe('a subscription', () => {
  it.each(['silent', 'stubborn'])('that is completed ends its source (%s) at once', async (field) => {
    const client = await socket().init()
    client.subscribe('1', `subscription { ${field} { n } }`)
    await until('the source is open', () => api.probe.open === 1)
    client.send({ type: 'complete', id: '1' })
    await until('the source has ended', () => api.probe.open === 0)
    client.subscribe('2', '{ hello }')
    await client.got('complete', '2')
  })
  it.each(['silent', 'stubborn'])('of a client that disconnects ends its source (%s) at once', async (field) => {
    const client = await socket().init()
    client.subscribe('1', `subscription { ${field} { n } }`)
    await until('the source is open', () => api.probe.open === 1)
    client.ws.terminate()
    await until('the source has ended', () => api.probe.open === 0)
  })
  it('of a client that does not read uses no memory: the source waits for it', async () => {
    const client = await socket().init()
    client.ws.pause()
    client.subscribe('1', 'subscription { endless(bytes: 100000) { text } }')
    await until('the first values are pulled', () => api.probe.pulled > 0)
    let [last, same] = [0, 0]
    await until('the source rests', () => {
      same = api.probe.pulled === last ? same + 1 : 0
      last = api.probe.pulled
      return same > 50
    })
    // Upper bound of two kernel buffers, in messages of 100 KB.
    expect(last).toBeLessThan(200)
    client.ws.resume()
    await until('the source goes on when it is read', () => api.probe.pulled > last + 20)
    client.ws.terminate()
    await until('the source has ended', () => api.probe.open === 0)
  })
})

describe('keepalive', () => {
  it('a client that answers pings stays connected', async () => {
    const api = await serverForTest({ times: { pingEveryMs: 10 } })
    const client = await socket(undefined, {}, api.wsUrl).init()
    let pings = 0
    client.ws.on('ping', () => {
      pings += 1
    })
    await until('ten pings', () => pings >= 10)
    client.subscribe('1', '{ hello }')
    await client.got('complete', '1')
  })
  it('a silent client is disconnected, and its source ended', async () => {
    const api = await serverForTest({ times: { pingEveryMs: 50 } })
    const client = new RawSocket(api.wsUrl, 'graphql-transport-ws', {}, { autoPong: false })
    await client.init()
    client.subscribe('1', 'subscription { silent { n } }')
    expect([(await client.closed())[0], api.probe.opened]).toEqual([1006, 1])
    await until('the source has ended', () => api.probe.open === 0)
  })
})

it('an upgrade at another path is refused with 404', async () => {
  const ws = new WebSocket(api.wsUrl.replace('/graphql', '/other'), 'graphql-transport-ws')
  const status = await new Promise((resolve) => ws.on('unexpected-response', (_request, response) => resolve(response.statusCode)))
  expect(status).toBe(404)
  ws.on('error', () => {})
  ws.terminate()
})

it('a query that runs over a socket is answered before the server stops', async () => {
  const api = await serverForTest({ settings: { REQUEST_TIMEOUT_MS: '300', SHUTDOWN_GRACE_MS: '10000' } })
  const client = await socket(undefined, {}, api.wsUrl).init()
  client.subscribe('1', '{ slow }')
  client.subscribe('2', '{ hello }')
  await client.got('complete', '2')
  await api.close()
  await client.got('complete', '1')
  expect((await client.closed())[0]).toBe(1001)
})
