import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { executeScript } from '../src/platform/db/database.ts'
import { key, serverForTest, startServer, type TestServer } from './graphql/support.ts'
import { until } from './support/wait.ts'

let api: TestServer
beforeAll(async () => {
  api = await startServer({
    settings: { CORS_ORIGINS: 'https://console.example' },
    rest: [
      async (door) => {
        door.get('/api/things', async () => ({ things: [] }))
        door.get('/api/broken', async () => {
          throw new Error('the password is hunter2')
        })
      },
    ],
  })
})
afterAll(() => api.close())

const at = (path: string, init?: RequestInit) => fetch(new URL(path, api.url), init)

describe('request ids', () => {
  it('of the client are sent back and logged', async () => {
    const response = await at('/healthz', { headers: { 'x-request-id': 'trace-1.a:b' } })
    expect(response.headers.get('x-request-id')).toBe('trace-1.a:b')
    await until('the log line', () => api.log.some((line) => line.requestId === 'trace-1.a:b'))
  })
  it.each(['with space', 'x'.repeat(101), 'a/b', '{}'])('that are no plain word are replaced: %s', async (given) => {
    const response = await at('/healthz', { headers: { 'x-request-id': given } })
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })
  it('are in the errors of GraphQL', async () => {
    const response = await api.post({ query: '{' }, { 'x-request-id': 'mine' })
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { requestId: 'mine' } }] })
  })
})

it('a log line names method, path and status, and nothing of the query or the credential', async () => {
  await at('/api/things?token=hunter2', { headers: { authorization: 'Bearer hunter2', 'x-request-id': 'logged' } })
  const line = await until('the log line', () => api.log.find((line) => line.requestId === 'logged'))
  expect(line).toMatchObject({ client: '127.0.0.1', method: 'GET', path: '/api/things', status: 200 })
  expect(JSON.stringify(api.log)).not.toContain('hunter2')
})

describe('paths', () => {
  it('that are unknown answer 404 as JSON', async () => {
    const response = await at('/nothing/here')
    expect([response.status, response.headers.get('content-type')]).toEqual([404, 'application/json; charset=utf-8'])
    expect(await response.json()).toMatchObject({ error: { code: 'not_found', requestId: response.headers.get('x-request-id') } })
  })
  it('begin with one that tells a browser where to go', async () => {
    const page = await at('/', { headers: { accept: 'text/html' } })
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(await page.text()).toContain('<a href="/graphql">')
    expect(await (await at('/')).json()).toMatchObject({ paths: expect.arrayContaining(['/graphql', '/api/docs']) })
  })
  it('of a dialect are mounted, with a trailing slash too', async () => {
    expect(await (await at('/api/things/')).json()).toEqual({ things: [] })
  })
  it('that fail unexpectedly answer 500 without a word about why', async () => {
    const response = await at('/api/broken')
    const text = await response.text()
    expect([response.status, text.includes('hunter2')]).toEqual([500, false])
  })
})

describe('CORS', () => {
  const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization, content-type' }
  it('OPTIONS answers 204 without a key, at every path', async () => {
    for (const path of ['/graphql', '/api/things', '/nothing']) expect((await at(path, { method: 'OPTIONS' })).status).toBe(204)
  })
  it('lets in an origin of CORS_ORIGINS, and shows it the headers that clients read', async () => {
    const origin = 'https://console.example'
    const { headers } = await at('/graphql', { method: 'OPTIONS', headers: { origin, ...preflight } })
    expect(headers.get('access-control-allow-origin')).toBe(origin)
    expect(headers.get('access-control-allow-headers')).toBe('authorization, content-type')
    const answer = await at('/graphql?query={hello}', { headers: { origin, authorization: `Bearer ${key}` } })
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    for (const name of ['X-API-Key-Id', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'Retry-After', 'X-Request-Id']) {
      expect(answer.headers.get('access-control-expose-headers')).toContain(name)
    }
    expect(answer.headers.get('vary')).toContain('Origin')
  })
  it('lets in no other origin', async () => {
    const { headers } = await at('/graphql', { method: 'OPTIONS', headers: { origin: 'https://other.example', ...preflight } })
    expect(headers.get('access-control-allow-origin')).toBeNull()
  })
  it('is off without the setting', async () => {
    const api = await serverForTest()
    const { headers } = await fetch(api.url, { method: 'OPTIONS', headers: { origin: 'https://console.example', ...preflight } })
    expect(headers.get('access-control-allow-origin')).toBeNull()
  })
})

describe('health', () => {
  it('/healthz answers 200', async () => expect((await at('/healthz')).status).toBe(200))
  it('/readyz answers 200 when the database answers and has every migration', async () => {
    expect((await at('/readyz')).status).toBe(200)
  })
  it('/readyz answers 503 and says what a start still waits for, until it is over', async () => {
    let waits = ['the first start has not finished']
    const api = await serverForTest({ startWaitsFor: () => waits })
    const response = await fetch(new URL('/readyz', api.url))
    expect([response.status, await response.json()]).toMatchObject([503, { reasons: waits }])
    waits = []
    expect((await fetch(new URL('/readyz', api.url))).status).toBe(200)
  })
  it('/readyz answers 503 and names a migration that is missing', async () => {
    const api = await serverForTest()
    await executeScript(databaseOf(api), 'update _prisma_migrations set finished_at = null')
    const response = await fetch(new URL('/readyz', api.url))
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({
      reasons: expect.arrayContaining([expect.stringMatching(/^migration \d+_main_job is not applied$/)]),
    })
  })
  it('/readyz answers 503 when the database does not answer, while /healthz is 200', async () => {
    const api = await serverForTest()
    await api.dropDatabase()
    const response = await fetch(new URL('/readyz', api.url))
    expect([response.status, await response.json()]).toMatchObject([503, { reasons: ['the database does not answer'] }])
    expect((await fetch(new URL('/healthz', api.url))).status).toBe(200)
  })
})

/** URL that a server's pool connects to. */
const databaseOf = (api: TestServer) => (api.app.db.pool.options as { connectionString: string }).connectionString

it('/metrics tells the process, HTTP by route, GraphQL by code, sockets and the pool', async () => {
  await api.post({ query: '{ hello }' })
  await api.post({ query: '{' })
  await at('/nothing/at/all')
  const wanted = [
    /^process_resident_memory_bytes \d/m,
    /^nodejs_eventloop_lag_seconds /m,
    /^quayside_http_request_seconds_count\{method="POST",route="\/graphql",status="200"\} \d+/m,
    /^quayside_http_request_seconds_count\{method="GET",route="unknown",status="404"\} \d+/m,
    /^quayside_graphql_operation_seconds_count\{operation="query",code="ok"\} \d+/m,
    /^quayside_graphql_operation_seconds_count\{operation="none",code="graphql_parse_failed"\} \d+/m,
    /^quayside_websockets 0/m,
    /^# TYPE quayside_events_flagged_total counter/m,
    /^# TYPE quayside_uncaught_errors_total counter/m,
    /^quayside_storage_buckets 0$/m,
    /^quayside_storage_bytes 0$/m,
    /^quayside_webhook_disabled_endpoints 0$/m,
    /^quayside_database_connections\{state="idle"\} \d+/m,
  ]
  // A request is counted after its response.
  let text = ''
  await until('all are counted', async () => {
    text = await (await at('/metrics')).text()
    return wanted.every((line) => line.test(text))
  }).catch(() => {})
  for (const line of wanted) expect(text).toMatch(line)
})

describe('stopping', () => {
  const slow = (url: string) =>
    fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: '{"query":"{ slow }"}',
    })

  it('answers what is running, takes no new connection, and is over as soon as the last has its answer', async () => {
    const api = await serverForTest({ settings: { REQUEST_TIMEOUT_MS: '400', SHUTDOWN_GRACE_MS: '60000' } })
    const running = slow(api.url)
    await until('the request runs', () => openRequests(api) === 1)
    const closed = api.server.close()
    await until('the port is closed', async () => !(await accepts(api.url)))
    expect(await (await running).json()).toMatchObject({ errors: [{ extensions: { code: 'timeout' } }] })
    await closed
    expect(api.log.filter(({ msg }) => String(msg).includes('cut'))).toEqual([])
  })
  it('answers a request that comes on a kept connection while the server stops, and closes that with the answer', async () => {
    const api = await serverForTest({ settings: { SHUTDOWN_GRACE_MS: '10000' } })
    const client = connect(Number(new URL(api.url).port), '127.0.0.1')
    onTestFinished(() => void client.destroy())
    let text = ''
    client.on('data', (bytes) => {
      text += String(bytes)
    })
    const ask = () => client.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    ask()
    await until('the first answer', () => text.includes('{"status":"ok"}'))
    expect(text).toMatch(/connection: keep-alive/i)
    text = ''
    const closed = api.server.close()
    await until('the port is closed', async () => !(await accepts(api.url)))
    ask()
    await once(client, 'end')
    expect(text).toMatch(/^HTTP\/1.1 200 /)
    expect(text).toMatch(/connection: close/i)
    await closed
  })
  it('closes a kept connection on which nothing comes', async () => {
    const api = await serverForTest({ settings: { SHUTDOWN_GRACE_MS: '60000' } })
    const client = connect(Number(new URL(api.url).port), '127.0.0.1')
    await once(client, 'connect')
    client.resume()
    await Promise.all([api.server.close(), once(client, 'end')])
    client.destroy()
  })
  it('cuts what is still running near the end of the grace', async () => {
    const api = await serverForTest({ settings: { REQUEST_TIMEOUT_MS: '60000', SHUTDOWN_GRACE_MS: '300' } })
    const running = slow(api.url)
    const failed = expect(running).rejects.toThrow('fetch failed')
    await until('the request runs', () => openRequests(api) === 1)
    await api.server.close()
    await failed
    await until('the work was aborted', () => api.probe.slowAborted === 1)
  })
  it('answers a request that had only half arrived, says that the connection closes, and is not ready', async () => {
    const api = await serverForTest({ settings: { SHUTDOWN_GRACE_MS: '10000' } })
    const seen = once(api.server.server, 'connection') as Promise<[Socket]>
    const client = connect(Number(new URL(api.url).port), '127.0.0.1')
    onTestFinished(() => void client.destroy())
    client.write('GET /readyz HTTP/1.1\r\nHost: x\r\n')
    const [peer] = await seen
    await until('the first half arrived', () => peer.bytesRead > 0)
    const closed = api.server.close()
    await until('the port is closed', async () => !(await accepts(api.url)))
    client.write('\r\n')
    let text = ''
    for await (const chunk of client) text += String(chunk)
    expect(text).toMatch(/^HTTP\/1.1 503 /)
    expect(text).toMatch(/connection: close/i)
    expect(text).toContain('the server is shutting down')
    await closed
  })
})

/** GraphQL requests in progress, counted as connections of the server that are not idle. */
const openRequests = (api: TestServer) => api.probe.slowBegun - api.probe.slowAborted

async function accepts(url: string): Promise<boolean> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
