import { afterEach, beforeEach, expect, test } from 'vitest'
import { judgeFault } from '../../../src/domain/webhooks/attempt/fault.ts'
import { outgoingHttp, selectionPort } from '../../../src/domain/webhooks/endpoint/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import type { CommandInput } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { shiftClock } from '../../support/database.ts'
import { until } from '../../support/wait.ts'
import {
  attempts,
  createEndpoint,
  createOrganization,
  createProjectRow,
  createWorld,
  deliveries,
  eventsOf,
  settled,
  tell,
  type World,
} from './support.ts'

let world: World
let caller: Caller

beforeEach(async () => {
  world = await createWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '60000' })
  caller = await createOrganization(world.app)
})
afterEach(() => world?.close())

const create = async (input: CommandInput) =>
  (await createEndpoint(world.app, caller, { eventTypes: ['project.updated'], ...input })).webhookEndpoint
const waiting = (endpointId: string) =>
  until('it waits with a reason', async () => (await deliveries(world.app, endpointId)).find(({ reason }) => reason !== null))
const failingSince = (endpointId: string) =>
  row(world.app.db.prisma, sql`select failing_since from webhook_lane where endpoint_id = ${endpointId}::uuid`)

test.each([
  ['signing key', (id: string) => sql`update webhook_key set sealed = '\\x0102' where endpoint_id = ${id}::uuid`],
  ['headers', (id: string) => sql`update webhook_endpoint set sealed_headers = '\\x0102' where id = ${id}::uuid`],
])('an endpoint whose %s can not be opened waits alone with a reason, and the others are sent to', async (_, corrupt) => {
  const receiver = await world.receiver()
  const bad = await create({ url: receiver.url, headers: { 'x-token': 'hunter2' } })
  const good = await create({ url: receiver.url })
  await run(world.app.db.prisma, corrupt(bad.id))
  world.work(world.app)
  await tell(world.app, caller)
  expect(await settled(world.app, good.id)).toMatchObject([{ status: 'DELIVERED' }])
  expect(await waiting(bad.id)).toMatchObject({
    status: 'PENDING',
    attemptCount: 0,
    reason: expect.stringMatching(/^Waiting since .* can not be opened\.$/),
  })
  expect(receiver.requests).toHaveLength(1)
  expect(await failingSince(bad.id)).toEqual({ failingSince: null })
})

test('a selection that no longer fits waits with the reason; after the length of the schedule it is given up, and the next one follows', async () => {
  const receiver = await world.receiver()
  const projectId = await createProjectRow(world.app, caller)
  const endpoint = await create({ url: receiver.url, projectId, ordered: true, selection: '{ id }' })
  const also = await create({ url: receiver.url, eventTypes: ['webhook_endpoint.exhausted'] })
  await run(world.app.db.prisma, sql`update webhook_endpoint set selection = '{ id gone }' where id = ${endpoint.id}::uuid`)
  world.work(world.app)
  const first = await tell(world.app, caller, projectId)
  const waits = await waiting(endpoint.id)
  expect(waits).toMatchObject({ status: 'PENDING', attemptCount: 0, reason: expect.stringMatching(/^Waiting since .*gone/) })
  const second = await tell(world.app, caller, projectId)

  await shiftClock(world.url, 61_000)
  world.app.wake.notify('webhook deliveries')
  const given = await until('it was given up', async () =>
    (await deliveries(world.app, endpoint.id)).find(({ status }) => status === 'EXHAUSTED'),
  )
  expect(given).toMatchObject({ messageId: first, attemptCount: 0, reason: expect.stringMatching(/^Given up after waiting since .*gone/) })
  expect(await settled(world.app, also.id)).toMatchObject([{ status: 'DELIVERED' }])
  expect(await eventsOf(world.app, caller, 'webhook_endpoint.exhausted')).toMatchObject([
    { data: { attemptCount: 0, reason: given.reason } },
  ])
  expect(await failingSince(endpoint.id)).toEqual({ failingSince: null })

  await run(world.app.db.prisma, sql`update webhook_endpoint set selection = '{ id }' where id = ${endpoint.id}::uuid`)
  await run(world.app.db.prisma, sql`update webhook_delivery set next_attempt_at = app_now() where status = 'PENDING'`)
  world.app.wake.notify('webhook deliveries')
  await settled(world.app, endpoint.id, 2)
  const last = (await deliveries(world.app, endpoint.id)).find(({ messageId }) => messageId === second)
  expect(last).toMatchObject({ status: 'DELIVERED', reason: null })
})

test('what our own side says in an error is told to nobody but the log', async () => {
  const endpoint = await create({ url: 'http://127.0.0.1:9/' })
  outgoingHttp.provide(world.app, { ...outgoingHttp.use(world.app), post: () => Promise.reject(new Error('at /srv/secret:1')) })
  world.work(world.app)
  await tell(world.app, caller)
  expect((await waiting(endpoint.id)).reason).not.toContain('/srv')
})

test('the pauses between faults of our own grow up to ten minutes, and end with the time that they may last', () => {
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

test('a selection that makes more than 256 kB is given up with the reason, and nothing is sent', async () => {
  const receiver = await world.receiver()
  const projectId = await createProjectRow(world.app, caller)
  const endpoint = await create({ url: receiver.url, projectId, selection: '{ id }' })
  selectionPort.provide(world.app, { check: () => null, run: async () => ({ text: 'x'.repeat(256 * 1024) }) })
  world.work(world.app)
  await tell(world.app, caller, projectId)
  expect(await settled(world.app, endpoint.id)).toMatchObject([
    { status: 'EXHAUSTED', attemptCount: 0, reason: expect.stringContaining('262144 bytes') },
  ])
  expect(receiver.requests).toHaveLength(0)
  expect(await attempts(world.app, endpoint.id)).toEqual([])
  expect(await eventsOf(world.app, caller, 'webhook_endpoint.exhausted')).toHaveLength(1)
})
