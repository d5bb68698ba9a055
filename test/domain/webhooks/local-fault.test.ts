import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { judgeFault } from '../../../src/domain/webhooks/attempt/fault.ts'
import { outgoingHttp, selectionPort } from '../../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../../src/drivers/http/index.ts'
import type { CommandInput } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { createEgressGuard } from '../../../src/platform/egress.ts'
import { shiftClock } from '../../support/database.ts'
import { until } from '../../support/wait.ts'
import { attempts, createProjectRow, deliveries, eventsOf, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '60000' })

const create = async (input: CommandInput) => (await world.createEndpoint({ eventTypes: ['project.updated'], ...input })).webhookEndpoint
const waiting = (endpointId: string) =>
  until('it waits with a reason', async () => (await deliveries(world.app, endpointId)).find(({ reason }) => reason !== null))
const failingSince = (endpointId: string) =>
  row(world.app.db, sql`select failing_since from webhook_lane where endpoint_id = ${endpointId}::uuid`)

it('a local fault is logged once for an endpoint, however many deliveries it affects', async () => {
  const receiver = await world.receiver()
  const bad = await create({ url: receiver.url })
  await run(world.app.db, sql`update webhook_key set sealed = '\\x0102' where endpoint_id = ${bad.id}::uuid`)
  world.work(world.app)
  for (let n = 0; n < 3; n++) await world.publishUpdate()
  await until('all wait with a reason', async () => {
    const all = await deliveries(world.app, bad.id)
    return all.length === 3 && all.every(({ reason }) => reason !== null)
  })
  const faults = world.app.logged.filter(({ msg }) => msg === 'webhooks cannot be sent to an endpoint because of a local failure')
  expect(faults).toMatchObject([{ endpoint: bad.id }])
})

it.each([
  ['signing key', (id: string) => sql`update webhook_key set sealed = '\\x0102' where endpoint_id = ${id}::uuid`],
  ['headers', (id: string) => sql`update webhook_endpoint set sealed_headers = '\\x0102' where id = ${id}::uuid`],
])('only deliveries to the endpoint whose %s cannot be decrypted wait, with a reason', async (_, corrupt) => {
  const receiver = await world.receiver()
  const bad = await create({ url: receiver.url, headers: { 'x-token': 'hunter2' } })
  const good = await create({ url: receiver.url })
  await run(world.app.db, corrupt(bad.id))
  world.work(world.app)
  await world.publishUpdate()
  expect(await settled(world.app, good.id)).toMatchObject([{ status: 'DELIVERED' }])
  expect(await waiting(bad.id)).toMatchObject({
    status: 'PENDING',
    attemptCount: 0,
    reason: expect.stringMatching(/^Waiting since .* cannot be decrypted\.$/),
  })
  expect(receiver.requests).toHaveLength(1)
  expect(await failingSince(bad.id)).toEqual({ failingSince: null })
})

it('a delivery whose selection is no longer valid waits with the reason; after the length of the schedule it ends, and the next one follows', async () => {
  const receiver = await world.receiver()
  const projectId = await createProjectRow(world.app, world.caller)
  const endpoint = await create({ url: receiver.url, projectId, ordered: true, selection: '{ id }' })
  const also = await create({ url: receiver.url, eventTypes: ['webhook_endpoint.exhausted'] })
  await run(world.app.db, sql`update webhook_endpoint set selection = '{ id gone }' where id = ${endpoint.id}::uuid`)
  world.work(world.app)
  const first = await world.publishUpdate({ projectId })
  const waits = await waiting(endpoint.id)
  expect(waits).toMatchObject({ status: 'PENDING', attemptCount: 0, reason: expect.stringMatching(/^Waiting since .*gone/) })
  const second = await world.publishUpdate({ projectId })

  await shiftClock(world.url, 61_000)
  world.app.wake.notify('webhook deliveries')
  const given = await until('it was given up', async () =>
    (await deliveries(world.app, endpoint.id)).find(({ status }) => status === 'EXHAUSTED'),
  )
  expect(given).toMatchObject({ messageId: first, attemptCount: 0, reason: expect.stringMatching(/^Given up after waiting since .*gone/) })
  expect(await settled(world.app, also.id)).toMatchObject([{ status: 'DELIVERED' }])
  expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.exhausted')).toMatchObject([
    { data: { attemptCount: 0, reason: given.reason } },
  ])
  expect(await failingSince(endpoint.id)).toEqual({ failingSince: null })

  await run(world.app.db, sql`update webhook_endpoint set selection = '{ id }' where id = ${endpoint.id}::uuid`)
  await run(world.app.db, sql`update webhook_delivery set next_attempt_at = app_now() where status = 'PENDING'`)
  world.app.wake.notify('webhook deliveries')
  await settled(world.app, endpoint.id, 2)
  const last = (await deliveries(world.app, endpoint.id)).find(({ messageId }) => messageId === second)
  expect(last).toMatchObject({ status: 'DELIVERED', reason: null })
})

describe('an endpoint with at-most-once delivery', () => {
  /** Outgoing HTTP through a proxy that accepts connections and does not respond. */
  const behindSilentProxy = async () => {
    const connected = Promise.withResolvers<void>()
    const sockets: Socket[] = []
    const server = createServer((socket) => {
      sockets.push(socket.on('error', () => {}))
      connected.resolve()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const http = createHttpOutgoing({
      guard: createEgressGuard({ allow: world.app.settings.EGRESS_ALLOW }),
      proxy: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, except: [] },
    })
    outgoingHttp.provide(world.app, http)
    onTestFinished(async () => {
      await http.close()
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return { connected: connected.promise }
  }

  it('waits without an attempt while the proxy does not respond', async () => {
    const receiver = await world.receiver()
    const endpoint = await create({ url: receiver.url, atMostOnce: true, timeoutMs: 1_000 })
    await behindSilentProxy()
    world.work(world.app)
    await world.publishUpdate()
    expect(await waiting(endpoint.id)).toMatchObject({
      status: 'PENDING',
      attemptCount: 0,
      reason: expect.stringMatching(/^Waiting since .*: The egress proxy did not answer in time\.$/),
    })
    expect([await attempts(world.app, endpoint.id), await failingSince(endpoint.id)]).toEqual([[], { failingSince: null }])
  })

  it('still waits if the process stops meanwhile, because nothing was sent', async () => {
    const receiver = await world.receiver()
    const endpoint = await create({ url: receiver.url, atMostOnce: true })
    const before = outgoingHttp.use(world.app)
    const { connected } = await behindSilentProxy()
    const jobs = world.work(world.app)
    await world.publishUpdate()
    await connected
    await jobs.stop({ graceMs: 0 })
    expect(await deliveries(world.app, endpoint.id)).toMatchObject([{ status: 'PENDING', attemptCount: 0, reason: null }])
    outgoingHttp.provide(world.app, before)
    world.work(world.app, 'next')
    expect(await settled(world.app, endpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 1 }])
  })

  it('sends each request on a new connection', async () => {
    const receiver = await world.receiver()
    const endpoint = await create({ url: receiver.url, atMostOnce: true, ordered: true })
    world.work(world.app)
    for (let n = 0; n < 3; n++) await world.publishUpdate()
    await settled(world.app, endpoint.id, 3)
    expect(receiver.requests.map(({ headers }) => headers.connection)).toEqual(['close', 'close', 'close'])
  })
})

it('a delivery to an endpoint without a route waits with the reason and does not count against the endpoint', async () => {
  const endpoint = await create({ url: 'http://127.0.0.1:9/' })
  await run(world.app.db, sql`update webhook_endpoint set url = 'https://255.255.255.255/' where id = ${endpoint.id}::uuid`)
  const http = createHttpOutgoing({ guard: createEgressGuard({ allow: ['0.0.0.0/0'] }) })
  onTestFinished(() => http.close())
  outgoingHttp.provide(world.app, http)
  world.work(world.app)
  await world.publishUpdate()
  expect(await waiting(endpoint.id)).toMatchObject({
    status: 'PENDING',
    attemptCount: 0,
    reason: expect.stringMatching(/^Waiting since .*: There is no route from this machine to 255\.255\.255\.255 \(ENETUNREACH\)\.$/),
  })
  expect(await failingSince(endpoint.id)).toEqual({ failingSince: null })
})

it('the message of an internal error appears only in the log', async () => {
  const endpoint = await create({ url: 'http://127.0.0.1:9/' })
  outgoingHttp.provide(world.app, { ...outgoingHttp.use(world.app), post: () => Promise.reject(new Error('at /srv/secret:1')) })
  world.work(world.app)
  await world.publishUpdate()
  expect((await waiting(endpoint.id)).reason).not.toContain('/srv')
})

it('the pauses between local faults grow up to ten minutes and end with the maximum duration', () => {
  const since = new Date('2026-01-01T00:00:00Z')
  const hour = 3_600_000
  const pauses: number[] = []
  let [now, faultSince] = [since, null as Date | null]
  for (;;) {
    const judged = judgeFault(new Error('no'), { now, faultSince, giveUpAfterMs: hour })
    faultSince = since
    expect(judged.reason).toContain(since.toISOString())
    if (judged.retryInMs === null) break
    pauses.push(judged.retryInMs / 1_000)
    now = new Date(now.getTime() + judged.retryInMs)
  }
  expect(pauses).toEqual([5, 5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600])
  expect(now.getTime() - since.getTime()).toBeGreaterThanOrEqual(hour)
  const once = judgeFault(new Error('no'), { now: since, faultSince: null, giveUpAfterMs: 0 })
  expect(once.retryInMs).toBe(5_000)
})

it('a delivery whose selection exceeds 256 kB ends with the reason, and nothing is sent', async () => {
  const receiver = await world.receiver()
  const projectId = await createProjectRow(world.app, world.caller)
  const endpoint = await create({ url: receiver.url, projectId, selection: '{ id }' })
  selectionPort.provide(world.app, { check: () => null, run: async () => ({ text: 'x'.repeat(256 * 1024) }) })
  world.work(world.app)
  await world.publishUpdate({ projectId })
  expect(await settled(world.app, endpoint.id)).toMatchObject([
    { status: 'EXHAUSTED', attemptCount: 0, reason: expect.stringContaining('262144 bytes') },
  ])
  expect(receiver.requests).toHaveLength(0)
  expect(await attempts(world.app, endpoint.id)).toEqual([])
  expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.exhausted')).toHaveLength(1)
})
