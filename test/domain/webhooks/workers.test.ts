import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'svix'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { outgoingHttp } from '../../../src/domain/webhooks/endpoint/index.ts'
import { startEmbeddedPostgres, stopEmbeddedPostgres } from '../../../src/drivers/postgres/index.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { migrate } from '../../../src/platform/db/migrate.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { createTestApp } from '../../support/app.ts'
import { until } from '../../support/wait.ts'
import { attempts, createEndpoint, createOrganization, deliveries, publishUpdate, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld()
let children: ChildProcess[]

beforeEach(async () => {
  children = []
})
afterEach(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) await end(child, 'SIGKILL')
})

/** Use a short lease if the test kills workers, and a long one if no worker may lose its lease on a busy machine. */
async function start(name: string, leaseMs = 1_500): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, '../../support/webhook-worker.ts'), [world.url, name, String(leaseMs)], { execArgv: [] })
  children.push(child)
  await once(child, 'message')
  return child
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, 'exit')
  child.kill(signal)
  const [code] = (await exited) as [number | null]
  return code
}

const evt = (id: string) => encodeId('WebhookMessage', id)

it('kill -9 of workers under load: nothing lost, duplicates carry the same id and verify', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint, secret } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
  const published: string[] = []
  const running = [await start('a'), await start('b'), await start('c')]
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 120; n++) published.push(await world.publishUpdate())
    await receiver.waitFor(round * 100 + 20)
    await end(running[round]!, 'SIGKILL')
    running.push(await start(`heir ${round}`))
  }
  const rows = await settled(world.app, webhookEndpoint.id, published.length)
  expect(rows.every(({ status }) => status === 'DELIVERED')).toBe(true)
  const received = receiver.requests.map(({ headers }) => String(headers['webhook-id']))
  expect(new Set(received)).toEqual(new Set(published.map(evt)))
  for (const request of receiver.requests) new Webhook(secret!).verify(request.body, request.headers as Record<string, string>)
})

it('kill -9 between the response and its record: the message is sent again, and the lost attempt is listed', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
  const doomed = await start('doomed')
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const lock = world.app.db.transaction(async (tx) => {
    await run(tx, sql`lock table webhook_attempt in exclusive mode`)
    locked.resolve()
    await released
  })
  await locked.promise
  const published = await world.publishUpdate()
  await until('the outcome waits to be recorded', () =>
    row(
      world.app.db,
      sql`select 1 from pg_locks l join pg_stat_activity a using (pid)
          where l.relation = 'webhook_attempt'::regclass and not l.granted and a.datname = current_database()`,
    ),
  )
  await end(doomed, 'SIGKILL')
  release()
  await lock
  await start('heir')
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 2 }])
  expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([
    { number: 1, errorClass: 'UNKNOWN', worker: 'doomed' },
    { number: 2, responseStatus: 204, worker: 'heir' },
  ])
  expect(receiver.requests.map(({ headers }) => headers['webhook-id'])).toEqual([evt(published), evt(published)])
})

it('an ordered endpoint continues after its worker on this machine was killed, long before the lease expires', async () => {
  const { promise: never } = Promise.withResolvers<void>()
  const receiver = await world.receiver((_, n) => (n === 1 ? { status: 200, delayUntil: never } : { status: 200 }))
  const input = { url: receiver.url, eventTypes: ['project.updated'], ordered: true }
  const { webhookEndpoint } = await world.createEndpoint(input)
  const doomed = await start('own name', 3_600_000)
  const published = [await world.publishUpdate(), await world.publishUpdate()]
  await receiver.waitFor(1)
  world.work(world.app, 'heir')
  await end(doomed, 'SIGKILL')
  await settled(world.app, webhookEndpoint.id, 2)
  expect(receiver.requests.map(({ headers }) => headers['webhook-id'])).toEqual([published[0]!, ...published].map(evt))
})

it('with several workers and no crash, every event arrives exactly once', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
  await Promise.all([start('a', 60_000), start('b', 60_000), start('c', 60_000)])
  const published: string[] = []
  for (let n = 0; n < 150; n++) published.push(await world.publishUpdate())
  await settled(world.app, webhookEndpoint.id, 150)
  expect(receiver.requests.map(({ headers }) => headers['webhook-id']).toSorted()).toEqual(published.map(evt).toSorted())
})

it('SIGTERM: requests in flight complete, nothing stays claimed, and the process exits by itself', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const receiver = await world.receiver(() => ({ status: 200, delayUntil: released }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
  const worker = await start('leaving', 60_000)
  for (let n = 0; n < 5; n++) await world.publishUpdate()
  await receiver.waitFor(5)
  const exited = end(worker, 'SIGTERM')
  release()
  expect(await exited).toBe(0)
  expect((await deliveries(world.app, webhookEndpoint.id)).map(({ status }) => status)).toEqual(
    Array.from({ length: 5 }, () => 'DELIVERED'),
  )
  const left = await row(world.app.db, sql`select 1 from webhook_delivery where lease_owner is not null limit 1`)
  expect(left).toBeNull()
})

it('the database cuts every connection under load: workers recover unaided, no row is stuck, no event is lost', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
  await Promise.all([start('a'), start('b')])
  const published: string[] = []
  for (let round = 0; round < 4; round++) {
    for (let n = 0; n < 60; n++) published.push(await world.publishUpdate())
    await rows(
      world.app.db,
      sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    )
    await until('our own connections are back', () =>
      run(world.app.db, sql`select 1`)
        .then(() => true)
        .catch(() => false),
    )
  }
  await settled(world.app, webhookEndpoint.id, published.length)
  expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id']))).toEqual(new Set(published.map(evt)))
})

it('a database that is stopped immediately and restarted under load: workers continue, and every committed event arrives', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-restart-'))
  const settings = { synchronous_commit: 'on' }
  try {
    const postgres = await startEmbeddedPostgres({ dataDir, settings })
    const url = await createDatabase(postgres.url, 'restart')
    await migrate({ url, directory: join(import.meta.dirname, '../../../prisma/migrations') })
    const inner = await createTestApp(url, { LOG_LEVEL: 'silent' })
    const tenant = await createOrganization(inner)
    const receiver = await world.receiver()
    outgoingHttp.provide(inner, outgoingHttp.use(world.app))
    const { webhookEndpoint } = await createEndpoint(inner, tenant, { url: receiver.url, eventTypes: ['project.updated'] })
    const worker = fork(join(import.meta.dirname, '../../support/webhook-worker.ts'), [url, 'survivor'], { execArgv: [] })
    children.push(worker)
    await once(worker, 'message')
    const published: string[] = []
    for (let n = 0; n < 80; n++) published.push(await publishUpdate(inner, tenant))
    await receiver.waitFor(10)
    await postgres.stop()
    await startEmbeddedPostgres({ dataDir, settings })
    await until('we are connected again', () =>
      publishUpdate(inner, tenant)
        .then((id) => published.push(id))
        .catch(() => 0),
    )
    await settled(inner, webhookEndpoint.id, published.length)
    expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id']))).toEqual(new Set(published.map(evt)))
    await end(worker, 'SIGTERM')
    await inner.close()
  } finally {
    await stopEmbeddedPostgres({ dataDir })
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
  }
})
