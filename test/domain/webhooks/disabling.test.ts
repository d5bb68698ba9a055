import { describe, expect, it } from 'vitest'
import { resendWebhookMessage } from '../../../src/domain/webhooks/delivery/index.ts'
import { findWebhookEndpoint, updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { ask, type CommandInput, execute } from '../../../src/platform/command.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { shiftClock } from '../../support/database.ts'
import type { ReceivedRequest } from '../../support/receiver.ts'
import { until } from '../../support/wait.ts'
import { attempts, deliveries, eventsOf, fannedOut, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30,30', WEBHOOK_BREAKER_MS: '200' })

const create = (input: CommandInput) => world.createEndpoint({ eventTypes: ['project.updated'], ...input })
const update = (id: string, input: CommandInput) => execute(world.request(), updateWebhookEndpoint, { id, ...input })
const ids = (requests: readonly ReceivedRequest[]) => requests.map((received) => received.headers['webhook-id'])
const evt = (id: string) => encodeId('WebhookMessage', id)

describe('disabling', () => {
  /** A worker that disables an endpoint after five days of failures. */
  const startWorker = async () => world.work(await world.process({ WEBHOOK_RETRY_SCHEDULE_MS: '', WEBHOOK_DISABLE_AFTER_MS: '432000000' }))
  const day = 86_400_000

  it('failing longer than the limit with no success: warned once, then disabled once, with exactly one notice', async () => {
    const receiver = await world.receiver(() => ({ status: 500 }))
    const { webhookEndpoint } = await create({ url: receiver.url, retryScheduleMs: [] })
    await startWorker()
    for (let half = 0; half <= 11; half++) {
      await shiftClock(world.url, half * (day / 2))
      await world.publishUpdate()
      await settled(world.app, webhookEndpoint.id, half + 1)
    }
    const endpoint = await ask(world.request(), findWebhookEndpoint, { id: webhookEndpoint.id })
    expect(endpoint).toMatchObject({ disabledAt: expect.any(Date), disabledReason: expect.stringContaining('accepted no message since') })
    expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.failing')).toHaveLength(1)
    expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.disabled')).toHaveLength(1)
  })

  it('a single success within the window resets the clock, and a warned endpoint is reported as recovered', async () => {
    let fails = true
    const receiver = await world.receiver(() => ({ status: fails ? 500 : 200 }))
    const { webhookEndpoint } = await create({ url: receiver.url, retryScheduleMs: [] })
    await startWorker()
    for (let half = 0; half <= 16; half++) {
      await shiftClock(world.url, half * (day / 2))
      fails = half !== 8
      await world.publishUpdate()
      await settled(world.app, webhookEndpoint.id, half + 1)
    }
    expect((await ask(world.request(), findWebhookEndpoint, { id: webhookEndpoint.id }))?.disabledAt).toBeNull()
    await until(
      'the recovery is reported',
      async () => (await eventsOf(world.app, world.caller, 'webhook_endpoint.recovered')).length === 1,
    )
    expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.disabled')).toHaveLength(0)
  })

  it('only one old failure and then silence: never disabled, not even by a failure long after', async () => {
    const receiver = await world.receiver(() => ({ status: 500 }))
    const { webhookEndpoint } = await create({ url: receiver.url, retryScheduleMs: [] })
    await startWorker()
    for (const [n, at] of [0, 6 * day].entries()) {
      await shiftClock(world.url, at)
      await world.publishUpdate()
      await settled(world.app, webhookEndpoint.id, n + 1)
    }
    expect((await ask(world.request(), findWebhookEndpoint, { id: webhookEndpoint.id }))?.disabledAt).toBeNull()
    expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.failing')).toHaveLength(0)
  })

  it('410: the operational event is sent to another endpoint, not to the one concerned', async () => {
    const gone = await world.receiver(() => ({ status: 410 }))
    const other = await world.receiver()
    const { webhookEndpoint } = await create({ url: gone.url, eventTypes: [] })
    await create({ url: other.url, eventTypes: ['webhook_endpoint.disabled'] })
    world.work(world.app)
    await world.publishUpdate()
    const [notice] = await other.waitFor(1)
    expect(JSON.parse(notice!.body.toString())).toMatchObject({
      type: 'webhook_endpoint.disabled',
      data: { webhookEndpointId: encodeId('WebhookEndpoint', webhookEndpoint.id), reason: expect.stringContaining('410') },
    })
    await fannedOut(world.app, world.caller)
    const disabledEvents = await eventsOf(world.app, world.caller, 'webhook_endpoint.disabled')
    expect((await deliveries(world.app, webhookEndpoint.id)).map(({ messageId }) => messageId)).not.toContain(disabledEvents[0]!.id)
  })

  it('manual disable during an in-flight request: that attempt is recorded, no retry follows', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const receiver = await world.receiver(() => ({ status: 500, delayUntil: released }))
    const { webhookEndpoint } = await create({ url: receiver.url })
    world.work(world.app)
    await world.publishUpdate()
    await receiver.waitFor(1)
    await update(webhookEndpoint.id, { disabled: true })
    release()
    await until('the attempt is kept', async () => (await attempts(world.app, webhookEndpoint.id)).length === 1)
    expect(await deliveries(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'SKIPPED', attemptCount: 1, nextAttemptAt: null }])
  })

  it('re-enabled: skipped ones do not flow until asked; a resend to a disabled endpoint is refused', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url })
    await update(webhookEndpoint.id, { disabled: true })
    world.work(world.app)
    const skipped = await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id)
    const resend = () => execute(world.request(), resendWebhookMessage, { messageId: skipped, endpointId: webhookEndpoint.id })
    await expect(resend()).rejects.toMatchObject({ code: 'webhook_endpoint_disabled' })
    await update(webhookEndpoint.id, { disabled: false })
    const fresh = await world.publishUpdate()
    await receiver.waitFor(1)
    expect(ids(receiver.requests)).toEqual([evt(fresh)])
    await resend()
    await receiver.waitFor(2)
    expect(ids(receiver.requests)).toEqual([evt(fresh), evt(skipped)])
  })

  it('one exhausted event for a message whose attempts all failed, and none for operational events that fail themselves', async () => {
    const receiver = await world.receiver(() => ({ status: 500 }))
    const { webhookEndpoint } = await create({ url: receiver.url })
    const also = await create({ url: receiver.url, eventTypes: ['webhook_endpoint.exhausted'] })
    world.work(world.app)
    const eventId = await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id)
    expect(await settled(world.app, also.webhookEndpoint.id)).toMatchObject([{ status: 'EXHAUSTED' }])
    await fannedOut(world.app, world.caller)
    expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.exhausted')).toMatchObject([
      { data: { webhookEndpointId: encodeId('WebhookEndpoint', webhookEndpoint.id), messageId: evt(eventId), attemptCount: 3 } },
    ])
  })
})
