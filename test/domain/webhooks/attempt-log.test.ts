import { describe, expect, it } from 'vitest'
import { listWebhookAttempts, webhookFigures } from '../../../src/domain/webhooks/attempt/index.ts'
import { sendTestWebhook } from '../../../src/domain/webhooks/delivery/index.ts'
import { outgoingHttp, updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { ask, type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { attempts, createOrganization, deliveries, eventsOf, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30,30', WEBHOOK_BREAKER_MS: '200' })

const create = (input: CommandInput) => world.createEndpoint({ eventTypes: ['project.updated'], ...input })
const update = (id: string, input: CommandInput) => execute(world.request(), updateWebhookEndpoint, { id, ...input })
const evt = (id: string) => encodeId('WebhookMessage', id)

describe('tests, lists and metrics', () => {
  it('a test is marked as such, is attempted once and does not count toward disabling', async () => {
    const receiver = await world.receiver(() => ({ status: 500 }))
    const { webhookEndpoint } = await create({ url: receiver.url })
    world.work(world.app)
    const { webhookMessage } = await execute(world.request(), sendTestWebhook, {
      endpointId: webhookEndpoint.id,
      eventType: 'deployment.succeeded',
    })
    expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
      { messageId: webhookMessage.id, status: 'EXHAUSTED', attemptCount: 1 },
    ])
    expect(JSON.parse(receiver.requests[0]!.body.toString())).toMatchObject({
      type: 'deployment.succeeded',
      test: true,
      id: evt(webhookMessage.id),
    })
    expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([{ trigger: 'TEST' }])
    expect(await row(world.app.db, sql`select failing_since from webhook_lane where endpoint_id = ${webhookEndpoint.id}::uuid`)).toEqual({
      failingSince: null,
    })
    expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.exhausted')).toHaveLength(0)
    await expect(execute(world.request(), sendTestWebhook, { endpointId: webhookEndpoint.id, eventType: 'no.such' })).rejects.toMatchObject(
      {
        field: 'eventType',
      },
    )
  })

  it('attempts are listed by endpoint, message, type, status class, error class and time; pages are stable under inserts', async () => {
    const good = await world.receiver()
    const bad = await world.receiver(() => ({ status: 503 }))
    const [a, b] = [await create({ url: good.url }), await create({ url: bad.url, retryScheduleMs: [] })]
    world.work(world.app)
    const published: string[] = []
    for (let n = 0; n < 4; n++) published.push(await world.publishUpdate())
    await settled(world.app, a.webhookEndpoint.id, 4)
    await settled(world.app, b.webhookEndpoint.id, 4)
    const count = async (filter: Record<string, unknown>) => (await ask(world.request(), listWebhookAttempts, filter)).rows.length
    expect(await count({})).toBe(8)
    expect(await count({ endpointId: a.webhookEndpoint.id })).toBe(4)
    expect(await count({ messageId: published[0] })).toBe(2)
    expect(await count({ eventType: 'project.updated' })).toBe(8)
    expect(await count({ eventType: 'project.created' })).toBe(0)
    expect(await count({ statusClass: 5 })).toBe(4)
    expect(await count({ statusClass: 2 })).toBe(4)
    expect(await count({ errorClass: 'HTTP' })).toBe(4)
    expect(await count({ until: new Date(0) })).toBe(0)
    expect(await count({ since: new Date(0) })).toBe(8)
    await expect(count({ statusClass: 9 })).rejects.toMatchObject({ field: 'statusClass' })
    const page = await ask(world.request(), listWebhookAttempts, { first: 3 })
    await world.publishUpdate()
    await settled(world.app, a.webhookEndpoint.id, 5)
    await settled(world.app, b.webhookEndpoint.id, 5)
    const next = await ask(world.request(), listWebhookAttempts, { first: 5, after: encodeId('WebhookAttempt', page.rows.at(-1)!.id) })
    expect(new Set([...page.rows, ...next.rows].map(({ id }) => id)).size).toBe(8)
    const stranger = await createOrganization(world.app)
    expect((await ask(world.request(stranger), listWebhookAttempts, {})).rows).toEqual([])
  })

  it('the figures contain queue depth, oldest age, lag, attempts by class and disabled endpoints', async () => {
    const receiver = await world.receiver(() => ({ status: 500 }))
    const { webhookEndpoint } = await create({ url: receiver.url, retryScheduleMs: [3_600_000] })
    world.work(world.app)
    await world.publishUpdate()
    await until('it waits', async () => (await deliveries(world.app, webhookEndpoint.id))[0]?.attemptCount === 1)
    expect(await webhookFigures(world.app)).toMatchObject({
      pending: 1,
      due: 0,
      oldestDueSeconds: 0,
      disabledEndpoints: 0,
      attempts: [{ class: 'HTTP', count: 1 }],
      lags: [{ kind: 'fresh', p50Seconds: expect.any(Number), p99Seconds: expect.any(Number) }],
    })
    await update(webhookEndpoint.id, { disabled: true })
    expect(await webhookFigures(world.app)).toMatchObject({ pending: 0, disabledEndpoints: 1 })
  })

  it('an attempt has the ID of the request that caused its event', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url })
    world.work(world.app)
    const eventId = await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id)
    expect(await row(world.app.db, sql`select request_id from webhook_message where id = ${eventId}::uuid`)).toEqual({
      requestId: 'request-1',
    })
  })

  it('a local fault is not an attempt and does not count against the endpoint', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url })
    const http = outgoingHttp.use(world.app)
    let faults = 0
    outgoingHttp.provide(world.app, {
      ...http,
      post: async () => {
        faults++
        throw Object.assign(new Error('no file descriptor left'), { code: 'EMFILE' })
      },
    })
    world.work(world.app)
    await world.publishUpdate()
    await until('it failed for a reason of ours', () => faults === 1)
    await until('it was given back', async () =>
      row(world.app.db, sql`select 1 from webhook_delivery where endpoint_id = ${webhookEndpoint.id}::uuid and lease_owner is null`),
    )
    expect(await deliveries(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'PENDING', attemptCount: 0 }])
    expect(await attempts(world.app, webhookEndpoint.id)).toEqual([])
    expect(await row(world.app.db, sql`select failing_since from webhook_lane where endpoint_id = ${webhookEndpoint.id}::uuid`)).toEqual({
      failingSince: null,
    })
    outgoingHttp.provide(world.app, http)
    await run(world.app.db, sql`update webhook_delivery set next_attempt_at = app_now() where status = 'PENDING'`)
    world.app.wake.notify('webhook deliveries')
    await receiver.waitFor(1)
  })
})
