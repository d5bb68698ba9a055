/** Every door during and after a database outage. */
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createApp } from '../src/app.ts'
import { createApiKey } from '../src/domain/access/api-key/index.ts'
import { createProject } from '../src/domain/apps/project/index.ts'
import { createWebService } from '../src/domain/apps/web-service/index.ts'
import { routerPort } from '../src/domain/deploys/instance/index.ts'
import type { Router } from '../src/domain/deploys/instance/ports.ts'
import { ensureServiceLog } from '../src/domain/deploys/log/index.ts'
import { schema } from '../src/graphql/schema.ts'
import { execute } from '../src/platform/command.ts'
import { encodeId } from '../src/platform/id.ts'
import { sequence } from '../src/platform/sequencer.ts'
import { restPlugin } from '../src/rest/core/index.ts'
import { platformDialect } from '../src/rest/platform/index.ts'
import { append } from './domain/deploys/log-support.ts'
import { RawSocket } from './graphql/support.ts'
import { createTestApp, type TestApp } from './support/app.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { createDatabaseProxy, type DatabaseProxy } from './support/database-proxy.ts'
import { createTenant, request, type Tenant } from './support/tenant.ts'
import { until } from './support/wait.ts'

let database: TestDatabase
let proxy: DatabaseProxy
let app: TestApp
let other: TestApp
let server: FastifyInstance
let base: string
let key: string
let tenant: Tenant

beforeEach(async () => {
  database = await createTestDatabase()
  proxy = await createDatabaseProxy(database.url)
  app = await createTestApp(proxy.url)
  other = await createTestApp(database.url)
  routerPort.provide(app, { port: 4080 } as Router)
  server = await createApp({ app, schema, rest: [restPlugin(app, [platformDialect])] })
  base = await server.listen({ host: '127.0.0.1', port: 0 })
  tenant = await createTenant(other)
  key = (await execute(request(other, tenant.owner), createApiKey, { name: 'test', scope: 'ADMIN' })).plaintextKey!
})
afterEach(async () => {
  await proxy.restore()
  await server.close()
  await app.close()
  await other.close()
  await proxy.close()
  await database.drop()
})

const get = (path: string) => fetch(`${base}${path}`, { headers: { authorization: `Bearer ${key}` } })
const post = (path: string, body: object) =>
  fetch(`${base}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const create = { query: 'mutation { createProject(input: { name: "Shop" }) { project { id } } }' }
const socketUrl = () => `${base.replace('http', 'ws')}/graphql`
const failures = () => app.logged.filter(({ msg }) => /unexpectedly|could not be handled/.test(String(msg)))

it.each(['refuse', 'silence'] as const)(
  'every door answers unavailable when the database does %s, and is well again after',
  async (how) => {
    expect((await get('/readyz')).status).toBe(200)
    await proxy[how]()
    const [graphql, rest] = await Promise.all([post('/graphql', create), get('/api/projects')])
    expect([graphql.status, graphql.headers.get('retry-after')]).toEqual([503, '2'])
    expect(await graphql.json()).toMatchObject({ errors: [{ extensions: { code: 'unavailable', kind: 'unavailable' } }] })
    expect([rest.status, rest.headers.get('retry-after'), await rest.json()]).toEqual([
      503,
      '2',
      { detail: 'The database is temporarily unavailable. Retry later.' },
    ])
    const socket = new RawSocket(socketUrl())
    await socket.open()
    socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } })
    expect(await socket.closed()).toEqual([1013, 'Try again later'])
    const ready = await get('/readyz')
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'unavailable', reasons: ['the database does not answer'] }])
    expect((await get('/healthz')).status).toBe(200)
    expect(await (await get('/metrics')).text()).toMatch(/^process_resident_memory_bytes \d/m)
    await proxy.restore()
    await until('it is ready again', async () => (await get('/readyz')).status === 200)
    expect(await (await post('/graphql', create)).json()).toMatchObject({
      data: { createProject: { project: { id: expect.any(String) } } },
    })
    expect(failures()).toEqual([])
  },
)

it('/readyz asks the database for half a second, and not at all once it is known to be away', async () => {
  proxy.silence()
  expect((await get('/readyz')).status).toBe(503)
  await until('the outage is known', () => app.db.session.outage())
  const before = proxy.accepted()
  const answers = await Promise.all(Array.from({ length: 50 }, () => get('/readyz')))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
  // Only the session reconnects; requests don't.
  expect(proxy.accepted() - before).toBeLessThan(5)
})

it('a request whose field meets the outage says so there, not internal', async () => {
  const socket = await new RawSocket(socketUrl()).init({ authorization: `Bearer ${key}` })
  await proxy.refuse()
  socket.subscribe('1', '{ projects(first: 1) { nodes { id } } }')
  const { payload } = await socket.got('next', '1')
  expect(payload).toMatchObject({ errors: [{ path: ['projects', 'nodes'], extensions: { code: 'unavailable' } }] })
  socket.ws.close()
})

it('a subscription that is open goes on after the outage, each line once', async () => {
  const { webService } = await execute(request(other, tenant.owner), createWebService, { name: 'Web' })
  const { organizationId, id: webServiceId } = webService
  const { id: logId } = await ensureServiceLog(other.db, { organizationId, webServiceId })
  const socket = await new RawSocket(socketUrl()).init({ authorization: `Bearer ${key}` })
  socket.subscribe(
    '1',
    `subscription { webServiceLogs(webServiceId: "${encodeId('WebService', webServiceId)}", tail: 10) { lines { message } } }`,
  )
  const lines = () =>
    socket.messages.flatMap(({ type, payload }) =>
      type === 'next'
        ? (payload as { data: { webServiceLogs: { lines: { message: string }[] } } }).data.webServiceLogs.lines.map(
            ({ message }) => message,
          )
        : [],
    )
  await append(other, logId, ['one'])
  await until('the first line', () => lines().length === 1)
  await proxy.refuse()
  await until('the outage is known', () => app.db.session.outage())
  await append(other, logId, ['two'])
  await proxy.restore()
  await until('the line of the outage', () => lines().length === 2)
  await append(other, logId, ['three'])
  await until('the line after it', () => lines().length === 3)
  expect(lines()).toEqual(['one', 'two', 'three'])
  socket.ws.close()
})

it('a subscription to events goes on after the outage, each event once', async () => {
  const socket = await new RawSocket(socketUrl()).init({ authorization: `Bearer ${key}` })
  socket.subscribe('1', 'subscription { events(types: ["project.created"]) { data } }')
  const names = () =>
    socket.messages.flatMap(({ type, payload }) =>
      type === 'next' ? [(payload as { data: { events: { data: { name: string } } } }).data.events.data.name] : [],
    )
  const tell = async (name: string) => {
    await execute(request(other, tenant.owner), createProject, { name })
    await sequence(other)
  }
  await until('it listens', async () => {
    await tell('first')
    return names().length > 0
  })
  await proxy.refuse()
  await until('the outage is known', () => app.db.session.outage())
  await tell('during')
  await proxy.restore()
  await until('the event of the outage', () => names().includes('during'))
  await tell('after')
  await until('the event after it', () => names().includes('after'))
  expect(names().slice(-2)).toEqual(['during', 'after'])
  expect(socket.messages.filter(({ type }) => type === 'complete' || type === 'error')).toEqual([])
  socket.ws.close()
})
