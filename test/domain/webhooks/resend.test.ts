import { describe, expect, it } from 'vitest'
import { recoverWebhookMessages, resendWebhookMessage, sendTestWebhook } from '../../../src/domain/webhooks/delivery/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { attempts, deliveries, eventsOf, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '10', WEBHOOK_BREAKER_MS: '3600000' })

const create = async (input: CommandInput) => (await world.createEndpoint({ eventTypes: ['project.updated'], ...input })).webhookEndpoint
const evt = (id: string) => encodeId('WebhookMessage', id)
const exhausted = async () => (await eventsOf(world.app, world.caller, 'webhook_endpoint.exhausted')).map(({ data }) => data.attemptCount)
const attemptsAre = (endpointId: string, count: number) =>
  until(`there are ${count} attempts`, async () => (await attempts(world.app, endpointId)).length === count)
const laneOf = (endpointId: string) =>
  row<{ breakerUntil: Date | null; failingSince: Date | null; silentFailures: number }>(
    world.app.db,
    sql`select breaker_until, failing_since, silent_failures from webhook_lane where endpoint_id = ${endpointId}::uuid`,
  )

it('deliveries that fail again after a resend or a recovery are reported as exhausted, once each', async () => {
  const receiver = await world.receiver(() => ({ status: 500 }))
  const { id } = await create({ url: receiver.url })
  world.work(world.app)
  const since = new Date(Date.now() - 60_000)
  const eventId = await world.publishUpdate()
  await settled(world.app, id)
  expect(await exhausted()).toEqual([2])
  await execute(world.request(), resendWebhookMessage, { messageId: eventId, endpointId: id })
  await attemptsAre(id, 3)
  expect(await exhausted()).toEqual([2, 3])
  await execute(world.request(), recoverWebhookMessages, { endpointId: id, since })
  await attemptsAre(id, 5)
  await settled(world.app, id)
  expect(await exhausted()).toEqual([2, 3, 5])
})

it('a test that is resent remains a test: one attempt, not counted toward disabling, and no event', async () => {
  const receiver = await world.receiver(() => ({ status: 500 }))
  const { id } = await create({ url: receiver.url, retryScheduleMs: [10, 10, 10] })
  world.work(world.app)
  const { webhookMessage } = await execute(world.request(), sendTestWebhook, { endpointId: id })
  await settled(world.app, id)
  await execute(world.request(), resendWebhookMessage, { messageId: webhookMessage.id, endpointId: id })
  await attemptsAre(id, 2)
  expect(await settled(world.app, id)).toMatchObject([{ status: 'EXHAUSTED', attemptCount: 2 }])
  expect(await attempts(world.app, id)).toMatchObject([{ trigger: 'TEST' }, { trigger: 'MANUAL' }])
  expect(await laneOf(id)).toMatchObject({ failingSince: null })
  expect(await exhausted()).toEqual([])
})

describe.each([{ ordered: false }, { ordered: true }])('behind an open breaker (%j)', ({ ordered }) => {
  const failingSince = new Date('2026-01-01T00:00:00Z')
  const open = (id: string) =>
    run(
      world.app.db,
      sql`update webhook_lane set breaker_until = app_now() + interval '1 hour', silent_failures = 20, failing_since = ${failingSince},
            last_failure_at = app_now() where endpoint_id = ${id}::uuid`,
    )

  it('a test is attempted immediately, before waiting deliveries, and closes the breaker if it is accepted', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const receiver = await world.receiver((_, n) => ({ status: 200, ...(n === 1 ? { delayUntil: released } : {}) }))
    const { id } = await create({ url: receiver.url, ordered })
    await open(id)
    world.work(world.app)
    const eventId = await world.publishUpdate()
    await until('one waits', async () => (await deliveries(world.app, id)).length === 1)
    const { webhookMessage } = await execute(world.request(), sendTestWebhook, { endpointId: id })
    const [first] = await receiver.waitFor(1)
    expect(first!.headers['webhook-id']).toBe(evt(webhookMessage.id))
    const during = await laneOf(id)
    release()
    await settled(world.app, id, 2)
    expect(during!.breakerUntil).not.toBeNull()
    expect(receiver.requests.map(({ headers }) => headers['webhook-id'])).toEqual([evt(webhookMessage.id), evt(eventId)])
    expect(await laneOf(id)).toMatchObject({ breakerUntil: null, silentFailures: 0 })
  })

  it('a resend is attempted immediately and closes the breaker', async () => {
    const receiver = await world.receiver()
    const { id } = await create({ url: receiver.url, ordered })
    const jobs = world.work(world.app)
    const eventId = await world.publishUpdate()
    await settled(world.app, id)
    await jobs.stop({ graceMs: 1_000 })
    await open(id)
    world.work(world.app)
    await world.publishUpdate()
    await until('one waits', async () => (await deliveries(world.app, id)).some(({ status }) => status === 'PENDING'))
    await execute(world.request(), resendWebhookMessage, { messageId: eventId, endpointId: id })
    const requests = await receiver.waitFor(3)
    expect(requests[1]!.headers['webhook-id']).toBe(evt(eventId))
    await settled(world.app, id, 2)
    expect(await laneOf(id)).toMatchObject({ breakerUntil: null, failingSince: null })
  })
})

it('an accepted test does not end the failing period', async () => {
  const receiver = await world.receiver()
  const { id } = await create({ url: receiver.url })
  const failingSince = new Date('2026-01-01T00:00:00Z')
  await run(
    world.app.db,
    sql`update webhook_lane set silent_failures = 3, failing_since = ${failingSince}, last_failure_at = app_now() where endpoint_id = ${id}::uuid`,
  )
  world.work(world.app)
  await execute(world.request(), sendTestWebhook, { endpointId: id })
  await settled(world.app, id)
  expect(await laneOf(id)).toMatchObject({ failingSince, silentFailures: 0 })
})
