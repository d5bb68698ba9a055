import { describe, expect, it } from 'vitest'
import { findOperation } from '../../../src/domain/access/operation/index.ts'
import { expungeWebhookMessage, listWebhookAttempts } from '../../../src/domain/webhooks/attempt/index.ts'
import { recoverWebhookMessages, replayMissingWebhookMessages, resendWebhookMessage } from '../../../src/domain/webhooks/delivery/index.ts'
import { expireBodies } from '../../../src/domain/webhooks/delivery/retention.ts'
import { updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { ask, type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { shiftClock } from '../../support/database.ts'
import type { ReceivedRequest } from '../../support/receiver.ts'
import { until } from '../../support/wait.ts'
import { attempts, createEndpoint, createOrganization, deliveries, publishUpdate, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30,30', WEBHOOK_BREAKER_MS: '200' })

const create = (input: CommandInput) => world.createEndpoint({ eventTypes: ['project.updated'], ...input })
const update = (id: string, input: CommandInput) => execute(world.request(), updateWebhookEndpoint, { id, ...input })
const ids = (requests: readonly ReceivedRequest[]) => requests.map((received) => received.headers['webhook-id'])
const evt = (id: string) => encodeId('WebhookMessage', id)
async function ended(operationId: string) {
  return until('the operation ends', async () => {
    const operation = await ask(world.request(), findOperation, { id: operationId })
    return operation?.finishedAt ? operation : null
  })
}

describe('replay and recover', () => {
  it('resend a delivered event: one new attempt, same id, trigger manual', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url })
    world.work(world.app)
    const eventId = await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id)
    await execute(world.request(), resendWebhookMessage, { messageId: eventId, endpointId: webhookEndpoint.id })
    await receiver.waitFor(2)
    await until('it is recorded', async () => (await attempts(world.app, webhookEndpoint.id)).length === 2)
    expect(ids(receiver.requests)).toEqual([evt(eventId), evt(eventId)])
    expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([
      { number: 1, trigger: 'AUTOMATIC' },
      { number: 2, trigger: 'MANUAL' },
    ])
  })

  it('resend while a request is in flight: both attempts are made and recorded', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const receiver = await world.receiver((_, n) => (n === 1 ? { status: 200, delayUntil: released } : { status: 200 }))
    const { webhookEndpoint } = await create({ url: receiver.url })
    world.work(world.app)
    const eventId = await world.publishUpdate()
    await receiver.waitFor(1)
    await execute(world.request(), resendWebhookMessage, { messageId: eventId, endpointId: webhookEndpoint.id })
    release()
    await receiver.waitFor(2)
    await settled(world.app, webhookEndpoint.id)
    expect((await attempts(world.app, webhookEndpoint.id)).map(({ number, trigger }) => [number, trigger])).toEqual([
      [1, 'AUTOMATIC'],
      [2, 'MANUAL'],
    ])
  })

  it('resend while a retry is pending: it is replaced, numbers stay in sequence, the total budget is respected', async () => {
    const receiver = await world.receiver(() => ({ status: 500 }))
    const { webhookEndpoint } = await create({ url: receiver.url, retryScheduleMs: [3_600_000, 50] })
    world.work(world.app)
    const eventId = await world.publishUpdate()
    await until('it waits', async () => (await deliveries(world.app, webhookEndpoint.id))[0]?.attemptCount === 1)
    await execute(world.request(), resendWebhookMessage, { messageId: eventId, endpointId: webhookEndpoint.id })
    expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'EXHAUSTED', attemptCount: 3 }])
    expect((await attempts(world.app, webhookEndpoint.id)).map(({ number, trigger }) => [number, trigger])).toEqual([
      [1, 'AUTOMATIC'],
      [2, 'MANUAL'],
      [3, 'AUTOMATIC'],
    ])
  })

  it('retention removes payloads and keeps metadata; a resend is then refused with the reason', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url })
    world.work(world.app)
    const eventId = await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id)
    await shiftClock(world.url, 91 * 86_400_000)
    expect(await expireBodies(world.app)).toBeGreaterThan(0)
    const message = await row(world.app.db, sql`select body, body_removed_at, event_type from webhook_message where id = ${eventId}::uuid`)
    expect(message).toEqual({ body: null, bodyRemovedAt: expect.any(Date), eventType: 'project.updated' })
    expect(await row(world.app.db, sql`select data from event where id = ${eventId}::uuid`)).toEqual({ data: {} })
    await expect(
      execute(world.request(), resendWebhookMessage, { messageId: eventId, endpointId: webhookEndpoint.id }),
    ).rejects.toMatchObject({
      code: 'webhook_payload_removed',
    })
    expect(await attempts(world.app, webhookEndpoint.id)).toHaveLength(1)
  })

  it('expunging removes the payload and the response bodies immediately, or only one response body', async () => {
    const receiver = await world.receiver(() => ({ status: 200, body: 'thanks' }))
    const { webhookEndpoint } = await create({ url: receiver.url })
    world.work(world.app)
    const eventId = await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id)
    const { rows: list } = await ask(world.request(), listWebhookAttempts, { messageId: eventId })
    expect(list[0]!.responseBody).toBe('thanks')
    await execute(world.request(), expungeWebhookMessage, { messageId: eventId, attemptId: list[0]!.id })
    expect((await ask(world.request(), listWebhookAttempts, { messageId: eventId })).rows[0]!.responseBody).toBeNull()
    expect((await row<{ body: string }>(world.app.db, sql`select body from webhook_message where id = ${eventId}::uuid`))!.body).toContain(
      evt(eventId),
    )
    await execute(world.request(), expungeWebhookMessage, { messageId: eventId })
    expect(await row(world.app.db, sql`select body from webhook_message where id = ${eventId}::uuid`)).toEqual({ body: null })
  })

  it('recover resends failed messages, and replay missing sends skipped and earlier ones; both are operations', async () => {
    let fails = true
    const receiver = await world.receiver(() => ({ status: fails ? 500 : 200 }))
    const earlier = await world.publishUpdate()
    const { webhookEndpoint } = await create({ url: receiver.url, retryScheduleMs: [] })
    world.work(world.app)
    const failed = [await world.publishUpdate(), await world.publishUpdate()]
    await settled(world.app, webhookEndpoint.id, 2)
    await update(webhookEndpoint.id, { disabled: true })
    const skipped = await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id, 3)
    await update(webhookEndpoint.id, { disabled: false })
    fails = false
    const since = new Date(Date.now() - 60_000)
    const recovery = await execute(world.request(), recoverWebhookMessages, { endpointId: webhookEndpoint.id, since })
    expect(recovery.operation).toMatchObject({ status: 'QUEUED', totalSteps: 2 })
    expect(await ended(recovery.operation.id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 2, totalSteps: 2 })
    expect(ids(receiver.requests).slice(2).toSorted()).toEqual(failed.map(evt).toSorted())
    const replay = await execute(world.request(), replayMissingWebhookMessages, { endpointId: webhookEndpoint.id, since })
    expect(await ended(replay.operation.id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 2 })
    expect(ids(receiver.requests).slice(4).toSorted()).toEqual([earlier, skipped].map(evt).toSorted())
    expect((await attempts(world.app, webhookEndpoint.id)).filter(({ trigger }) => trigger === 'RECOVERY')).toHaveLength(4)
    await expect(
      execute(world.request(await createOrganization(world.app)), recoverWebhookMessages, { endpointId: webhookEndpoint.id, since }),
    ).rejects.toMatchObject({ code: 'not_found' })
  })

  it('an operation continues after its process died, and sends nothing twice', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url })
    await update(webhookEndpoint.id, { disabled: true })
    const first = world.work(world.app, 'first')
    for (let n = 0; n < 120; n++) await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id, 120)
    await update(webhookEndpoint.id, { disabled: false })
    const { operation } = await execute(world.request(), replayMissingWebhookMessages, {
      endpointId: webhookEndpoint.id,
      since: new Date(Date.now() - 60_000),
    })
    await receiver.waitFor(10)
    await first.stop({ graceMs: 0 })
    world.work(await world.process(), 'second')
    expect(await ended(operation.id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 120, totalSteps: 120 })
    expect(new Set(ids(receiver.requests)).size).toBe(120)
  })

  it('bulk replay does not delay fresh events of other tenants', async () => {
    const { promise: never } = Promise.withResolvers<void>()
    const slow = await world.receiver(() => ({ status: 200, delayUntil: never }))
    const { webhookEndpoint } = await create({ url: slow.url, timeoutMs: 30_000 })
    await update(webhookEndpoint.id, { disabled: true })
    world.work(world.app)
    for (let n = 0; n < 200; n++) await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id, 200)
    await update(webhookEndpoint.id, { disabled: false })
    await execute(world.request(), replayMissingWebhookMessages, { endpointId: webhookEndpoint.id, since: new Date(Date.now() - 60_000) })
    await slow.waitFor(40)
    const other = await createOrganization(world.app)
    const receiver = await world.receiver()
    await createEndpoint(world.app, other, { url: receiver.url, eventTypes: ['project.updated'] })
    await publishUpdate(world.app, other)
    await receiver.waitFor(1)
    // None of the slow requests had to end first.
    expect(await attempts(world.app, webhookEndpoint.id)).toEqual([])
    expect(slow.requests.length).toBeLessThanOrEqual(50)
  })
})
