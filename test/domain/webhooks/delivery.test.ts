import { Webhook } from 'svix'
import { expect, it } from 'vitest'
import { projectUpdated } from '../../../src/domain/apps/project/index.ts'
import { deliverWebhooks } from '../../../src/domain/webhooks/attempt/jobs.ts'
import { claimDeliveries } from '../../../src/domain/webhooks/delivery/index.ts'
import { deleteWebhookEndpoint, findWebhookEndpoint, updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { ask, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { publish } from '../../../src/platform/events.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import type { ReceivedRequest } from '../../support/receiver.ts'
import { until } from '../../support/wait.ts'
import { attempts, deliveries, fannedOut, publishUpdate, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30,30' })

/** Returns the body. Throws if the signature is not valid. */
function verify(secret: string | null, received: ReceivedRequest): unknown {
  new Webhook(secret ?? '').verify(received.body, received.headers as Record<string, string>)
  return JSON.parse(received.body.toString())
}

const ids = (requests: ReceivedRequest[]) => requests.map((received) => received.headers['webhook-id'])

it('a delivery verifies with the svix package and carries the event', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint, secret } = await world.createEndpoint({ url: `${receiver.url}/hook?a=1` })
  world.work(world.app)
  const projectId = newId()
  const eventId = await world.publishUpdate({ projectId, name: 'Größe 🚀 "quoted"' })
  const [received] = await receiver.waitFor(1)
  expect(verify(secret, received!)).toEqual({
    type: 'project.updated',
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    data: { projectId: encodeId('Project', projectId), name: 'Größe 🚀 "quoted"', slug: 'shop' },
    id: encodeId('WebhookMessage', eventId),
    organizationId: encodeId('Organization', world.caller.organizationId),
    sequence: 1,
    schemaVersion: 1,
  })
  expect(received).toMatchObject({
    method: 'POST',
    path: '/hook?a=1',
    headers: { 'webhook-id': encodeId('WebhookMessage', eventId), 'content-type': 'application/json', 'user-agent': 'Quayside' },
  })
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 1, nextAttemptAt: null }])
})

it('numbers that JavaScript cannot hold and the order of keys reach the receiver as they were published', async () => {
  const receiver = await world.receiver()
  await world.createEndpoint({ url: receiver.url })
  const id = await world.publishUpdate()
  // No event type has such a number, so the row is inserted directly.
  const odd = sql`type = 'test.odd', data = '{"z":12345678901234567890,"a":"\\u00e9\\/"}'`
  await run(world.app.db, sql`update event set ${odd} where id = ${id}::uuid`)
  world.work(world.app)
  const [received] = await receiver.waitFor(1)
  expect(received!.body.toString()).toContain('"data":{"z":12345678901234567890,"a":"\\u00e9\\/"}')
})

it('500, 500, 200: three attempts with one id and body, a newer timestamp and a fresh signature each', async () => {
  const receiver = await world.receiver((_, n) => ({ status: n < 3 ? 500 : 200, body: `answer ${n}`, headers: { 'x-answer': String(n) } }))
  const { webhookEndpoint, secret } = await world.createEndpoint({ url: receiver.url, retryScheduleMs: [1_100, 1_100] })
  world.work(world.app, 'harbour')
  await world.publishUpdate()
  const received = await receiver.waitFor(3)
  for (const each of received) verify(secret, each)
  expect(new Set(ids(received)).size).toBe(1)
  expect(new Set(received.map((each) => each.body.toString())).size).toBe(1)
  const stamps = received.map((each) => Number(each.headers['webhook-timestamp']))
  expect(stamps[1]).toBeGreaterThan(stamps[0]!)
  expect(stamps[2]).toBeGreaterThan(stamps[1]!)
  expect(new Set(received.map((each) => each.headers['webhook-signature'])).size).toBe(3)

  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 3 }])
  const tries = await attempts(world.app, webhookEndpoint.id)
  const common = { url: receiver.url, worker: 'harbour', trigger: 'AUTOMATIC' }
  expect(tries).toMatchObject([
    { ...common, number: 1, responseStatus: 500, errorClass: 'HTTP', responseBody: 'answer 1', nextAttemptAt: expect.any(Date) },
    {
      ...common,
      number: 2,
      responseStatus: 500,
      errorClass: 'HTTP',
      responseHeaders: { 'x-answer': '2' },
      nextAttemptAt: expect.any(Date),
    },
    { ...common, number: 3, responseStatus: 200, errorClass: null, nextAttemptAt: null },
  ])
  for (const { requestHeaders } of tries) {
    expect(requestHeaders['webhook-signature']).toBe('[masked]')
    expect(requestHeaders['webhook-id']).toBe(received[0]!.headers['webhook-id'])
  }
  const gap = tries[1]!.startedAt.getTime() - tries[0]!.startedAt.getTime()
  expect(gap).toBeGreaterThanOrEqual(1_100)
})

it('a delivery that always fails is attempted once and once for each entry of the schedule, and is then exhausted', async () => {
  const receiver = await world.receiver(() => ({ status: 503 }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url })
  world.work(world.app)
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
    { status: 'EXHAUSTED', attemptCount: 3, reason: expect.stringContaining('503') },
  ])
  expect(await attempts(world.app, webhookEndpoint.id)).toHaveLength(3)
  expect(receiver.requests).toHaveLength(3)
})

it('an empty schedule means a single attempt', async () => {
  const receiver = await world.receiver(() => ({ status: 404 }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, retryScheduleMs: [] })
  world.work(world.app)
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'EXHAUSTED', attemptCount: 1 }])
})

it('a redirect is a failure, and its target is never called', async () => {
  const target = await world.receiver()
  const receiver = await world.receiver(() => ({ status: 307, headers: { location: target.url } }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, retryScheduleMs: [] })
  world.work(world.app)
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id)
  expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([{ responseStatus: 307, errorClass: 'HTTP' }])
  expect(target.requests).toHaveLength(0)
})

it('an address that is not allowed at the time of sending is recorded as blocked, and no request is sent', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, retryScheduleMs: [] })
  const strict = await world.process({ EGRESS_ALLOW: '203.0.113.0/24' })
  world.work(strict)
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id)
  expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([
    { errorClass: 'BLOCKED', responseStatus: null, responseHeaders: null },
  ])
  expect(receiver.requests).toHaveLength(0)
})

it('a receiver that hangs before its headers: the attempt ends at the timeout with its class, and the slot is freed', async () => {
  const receiver = await world.receiver((_, n) => (n === 1 ? { status: 200, delayUntil: new Promise<void>(() => {}) } : { status: 200 }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, timeoutMs: 1_000, maxConcurrency: 1 })
  world.work(world.app)
  await world.publishUpdate()
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id, 2)
  const tries = await attempts(world.app, webhookEndpoint.id)
  expect(tries.map((each) => each.errorClass).toSorted()).toEqual(['TIMEOUT', null, null])
  const hung = tries.find((each) => each.errorClass === 'TIMEOUT')!
  // A timer counts whole milliseconds and may fire one early.
  expect(hung.durationMs).toBeGreaterThanOrEqual(990)
})

it('a response of 5 MB, or one that is not text: a prefix is kept, and the attempt succeeds', async () => {
  const receiver = await world.receiver((_, n) => ({
    status: 200,
    body: n === 1 ? 'x'.repeat(5 * 1024 * 1024) : Buffer.from([0, 255, 254, 65]),
  }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url })
  world.work(world.app)
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id, 1)
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id, 2)
  const [large, binary] = await attempts(world.app, webhookEndpoint.id)
  expect(large).toMatchObject({ responseStatus: 200, errorClass: null, responseBody: 'x'.repeat(20_000) })
  expect(binary!.responseBody).toMatch(/A$/)
})

it('a refused connection is recorded and retried', async () => {
  const receiver = await world.receiver()
  await receiver.close()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url })
  world.work(world.app)
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id)
  expect((await attempts(world.app, webhookEndpoint.id)).map((each) => each.errorClass)).toEqual(['REFUSED', 'REFUSED', 'REFUSED'])
})

it('a message is not sent again after the receiver asked to abort it', async () => {
  const receiver = await world.receiver(() => ({ status: 500, headers: { 'webhook-delivery': 'abort-message' } }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url })
  world.work(world.app)
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'ABORTED', attemptCount: 1 }])
})

it('410 disables the endpoint: pending and later messages are skipped, not lost', async () => {
  const receiver = await world.receiver((_, n) => ({ status: n === 1 ? 500 : 410 }))
  const { webhookEndpoint } = await world.createEndpoint({
    url: receiver.url,
    eventTypes: ['project.*'],
    retryScheduleMs: [3_600_000],
  })
  world.work(world.app)
  await world.publishUpdate()
  await until('the first waits for its retry', async () => (await deliveries(world.app, webhookEndpoint.id))[0]?.attemptCount === 1)
  await world.publishUpdate()
  const disabled = await until('the endpoint is disabled', async () => {
    const endpoint = await ask(world.request(), findWebhookEndpoint, { id: webhookEndpoint.id })
    return endpoint?.disabledAt ? endpoint : null
  })
  expect(disabled.disabledReason).toContain('410')
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id, 3)).toMatchObject([
    { status: 'SKIPPED' },
    { status: 'SKIPPED' },
    { status: 'SKIPPED' },
  ])
  expect(receiver.requests).toHaveLength(2)
})

it('an endpoint that is enabled again receives later events, but not skipped ones', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
  await execute(world.request(), updateWebhookEndpoint, { id: webhookEndpoint.id, disabled: true })
  world.work(world.app)
  const skipped = await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
    { messageId: skipped, status: 'SKIPPED', reason: expect.stringContaining('disabled') },
  ])
  await execute(world.request(), updateWebhookEndpoint, { id: webhookEndpoint.id, disabled: false })
  const sent = await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id, 2)
  expect(ids(receiver.requests)).toEqual([encodeId('WebhookMessage', sent)])
})

it('deleting an endpoint cancels its pending deliveries with a reason and keeps the attempts', async () => {
  const receiver = await world.receiver(() => ({ status: 500 }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, retryScheduleMs: [3_600_000] })
  world.work(world.app)
  await world.publishUpdate()
  await until('the first attempt', async () => (await attempts(world.app, webhookEndpoint.id)).length === 1)
  await execute(world.request(), deleteWebhookEndpoint, { id: webhookEndpoint.id })
  expect(await deliveries(world.app, webhookEndpoint.id)).toMatchObject([
    { status: 'CANCELLED', attemptCount: 1, nextAttemptAt: null, reason: expect.stringContaining('deleted') },
  ])
  expect(await attempts(world.app, webhookEndpoint.id)).toHaveLength(1)
})

it('if an endpoint is deleted during a request, that attempt is kept and not retried', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const receiver = await world.receiver(() => ({ status: 500, delayUntil: released }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url })
  world.work(world.app)
  await world.publishUpdate()
  await receiver.waitFor(1)
  await execute(world.request(), deleteWebhookEndpoint, { id: webhookEndpoint.id })
  release()
  await until('the attempt is kept', async () => (await attempts(world.app, webhookEndpoint.id)).length === 1)
  expect(await deliveries(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'CANCELLED', attemptCount: 1, nextAttemptAt: null }])
})

it('a changed URL is used by the next attempt, and each attempt has the URL that was called', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const old = await world.receiver(() => ({ status: 500, delayUntil: released }))
  const moved = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({
    url: old.url,
    eventTypes: ['project.updated'],
    retryScheduleMs: [0],
  })
  world.work(world.app)
  await world.publishUpdate()
  await old.waitFor(1)
  await execute(world.request(), updateWebhookEndpoint, { id: webhookEndpoint.id, url: moved.url })
  release()
  await settled(world.app, webhookEndpoint.id)
  expect((await attempts(world.app, webhookEndpoint.id)).map((each) => each.url)).toEqual([old.url, moved.url])
})

it('a change that is rolled back leaves no event and no delivery', async () => {
  const receiver = await world.receiver()
  await world.createEndpoint({ url: receiver.url })
  world.work(world.app)
  const refused = transact(world.app, world.caller, { emits: world.app.domain.eventTypes.all }, async (work) => {
    const projectId = newId()
    await publish(work, projectUpdated, {
      subjectId: projectId,
      projectId,
      data: { projectId: encodeId('Project', projectId), name: 'Never', slug: 'never' },
    })
    throw new Error('rolled back')
  })
  await expect(refused).rejects.toThrow('rolled back')
  const eventId = await world.publishUpdate()
  await receiver.waitFor(1)
  const messages = await fannedOut(world.app, world.caller)
  expect(messages).toHaveLength(2)
  expect(messages[1]).toBe(eventId)
  expect(ids(receiver.requests)).toEqual([encodeId('WebhookMessage', eventId)])
})

it('an event whose process died right after the commit is delivered by the next one', async () => {
  const receiver = await world.receiver()
  await world.createEndpoint({ url: receiver.url })
  const dying = await world.process()
  // Its wake-ups are lost with it, so that only the committed row is left.
  const eventId = await publishUpdate({ ...dying, wake: { ...dying.wake, notify: () => {} } }, world.caller)
  world.work(world.app)
  await receiver.waitFor(1)
  expect(ids(receiver.requests)).toEqual([encodeId('WebhookMessage', eventId)])
})

it('a delivery whose worker died is taken over by another worker when the lease expires', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url })
  const dead = await world.process({ WORKER_LEASE_MS: '500' })
  const fanOutOnly = world.work(world.app, 'first')
  await world.publishUpdate()
  await fannedOut(world.app, world.caller)
  await settled(world.app, webhookEndpoint.id)
  await fanOutOnly.stop({ graceMs: 1_000 })
  await run(
    world.app.db,
    sql`update webhook_delivery set status = 'PENDING', next_attempt_at = app_now() - interval '1 second', attempt_count = 0
        where endpoint_id = ${webhookEndpoint.id}::uuid`,
  )
  const [left] = (await deliverWebhooks.claim(dead, 'dead', 10, [])).items
  expect(left?.leaseOwner).toBe('dead')
  world.work(await world.process(), 'heir')
  await receiver.waitFor(2)
  await settled(world.app, webhookEndpoint.id)
  await deliverWebhooks.work(dead, left!, new AbortController().signal)
  const tries = await attempts(world.app, webhookEndpoint.id)
  expect(tries.map((each) => [each.worker, each.errorClass])).toEqual([
    ['first', null],
    ['dead', 'UNKNOWN'],
    ['heir', null],
  ])
})

it('two workers share the queue: every event arrives once', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url })
  const other = await world.process()
  world.work(world.app, 'one')
  world.work(other, 'two')
  const published = []
  for (let n = 0; n < 120; n++) published.push(encodeId('WebhookMessage', await publishUpdate(n % 2 ? world.app : other, world.caller)))
  await settled(world.app, webhookEndpoint.id, 120)
  expect(ids(receiver.requests).toSorted()).toEqual(published.toSorted())
})

it('stopping aborts a request in flight after the grace period and releases the delivery immediately', async () => {
  const { promise: never } = Promise.withResolvers<void>()
  const receiver = await world.receiver((_, n) => (n === 1 ? { status: 200, delayUntil: never } : { status: 200 }))
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url })
  const slow = await world.process({ WORKER_LEASE_MS: '3600000' })
  const jobs = world.work(slow, 'slow')
  await world.publishUpdate()
  await receiver.waitFor(1)
  await jobs.stop({ graceMs: 10 })
  world.work(world.app, 'next')
  await receiver.waitFor(2)
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 2 }])
})

it('a worker learns when the next delivery is due, or that none is', async () => {
  const receiver = await world.receiver(() => ({ status: 500 }))
  expect(await claimDeliveries(world.app, 'worker', 10)).toEqual({ items: [], dueInMs: null, waitsForOwn: false })
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, retryScheduleMs: [3_600_000] })
  const jobs = world.work(world.app)
  await world.publishUpdate()
  await until('it waits for its retry', async () => (await deliveries(world.app, webhookEndpoint.id))[0]?.attemptCount === 1)
  await jobs.stop({ graceMs: 1_000 })
  const { dueInMs } = await claimDeliveries(world.app, 'worker', 10)
  expect(dueInMs).toBeGreaterThan(3_000_000)
  expect(dueInMs).toBeLessThan(1.2 * 3_600_000)
  await run(world.app.db, sql`update webhook_delivery set next_attempt_at = app_now() - interval '1 minute'`)
  expect(await claimDeliveries(world.app, 'worker', 10)).toMatchObject({ items: [{ endpointId: webhookEndpoint.id }] })
})
