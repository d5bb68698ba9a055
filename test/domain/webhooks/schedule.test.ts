import { describe, expect, it } from 'vitest'
import { maxRetryAfterMs } from '../../../src/domain/webhooks/attempt/model.ts'
import { deliveriesTopic } from '../../../src/domain/webhooks/delivery/model.ts'
import type { CommandInput } from '../../../src/platform/command.ts'
import { shiftClock } from '../../support/database.ts'
import { until } from '../../support/wait.ts'
import { attempts, deliveries, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30' })

const create = async (input: CommandInput) => (await world.createEndpoint({ eventTypes: ['project.updated'], ...input })).webhookEndpoint
const inSeconds = (seconds: number) => new Date(Math.ceil(Date.now() / 1_000 + seconds) * 1_000).toUTCString()

/** A receiver that answers once with `status` and `retryAfter` and then with 204; the first attempt and the delivery after it. */
async function askedToWait(status: number, retryAfter: string) {
  const receiver = await world.receiver((_, n) => (n === 1 ? { status, headers: { 'retry-after': retryAfter } } : { status: 204 }))
  const { id } = await create({ url: receiver.url })
  world.work(world.app)
  await world.publishUpdate()
  const [attempt] = await until('the first try is recorded', async () => {
    const found = await attempts(world.app, id)
    return found.length > 0 && found
  })
  const [delivery] = await deliveries(world.app, id)
  return { id, receiver, attempt: attempt!, delivery: delivery! }
}

describe.each([429, 503])('Retry-After of a %i', (status) => {
  it.each([
    ['in seconds', () => '120'],
    ['as a date', () => inSeconds(120)],
  ])('of 120 s %s: the next attempt is scheduled for then and made then, not before', async (_form, retryAfter) => {
    const asked = retryAfter()
    const { id, receiver, attempt, delivery } = await askedToWait(status, asked)
    expect(attempt).toMatchObject({ number: 1, responseStatus: status, errorClass: 'HTTP' })
    const notBefore = asked === '120' ? attempt.startedAt.getTime() + 120_000 : Date.parse(asked)
    expect(attempt.nextAttemptAt!.getTime()).toBeGreaterThanOrEqual(notBefore)
    expect(delivery).toMatchObject({ status: 'PENDING', attemptCount: 1, nextAttemptAt: attempt.nextAttemptAt })
    expect(receiver.requests).toHaveLength(1)
    await shiftClock(world.url, 125_000)
    world.app.wake.notify(deliveriesTopic)
    expect(await settled(world.app, id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 2 }])
    expect(receiver.requests).toHaveLength(2)
  })

  it.each([
    ['in seconds', () => String(365 * 86_400)],
    ['as a date', () => inSeconds(365 * 86_400)],
  ])('of a year %s is clamped to a day', async (_form, retryAfter) => {
    const { attempt } = await askedToWait(status, retryAfter())
    const waitMs = attempt.nextAttemptAt!.getTime() - attempt.startedAt.getTime()
    expect(waitMs).toBeGreaterThanOrEqual(maxRetryAfterMs)
    expect(waitMs).toBeLessThan(2 * maxRetryAfterMs)
  })

  it.each(['-120', 'soon', '1e9', '120; please', 'Mon, 01 Jan 2001 00:00:00 GMT'])(
    '%j is ignored in favor of the schedule',
    async (text) => {
      const { id } = await askedToWait(status, text)
      expect(await settled(world.app, id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 2 }])
    },
  )
})

it('over many attempts the delay is never shorter than the schedule, exceeds it by at most 20 %, and varies', async () => {
  const scheduledMs = 1_000_000
  const receiver = await world.receiver(() => ({ status: 500 }))
  const { id } = await create({ url: receiver.url, retryScheduleMs: [scheduledMs] })
  world.work(world.app)
  for (let n = 0; n < 60; n++) await world.publishUpdate()
  const made = await until('all were tried', async () => {
    const found = await attempts(world.app, id)
    return found.length === 60 && found
  })
  const waitsMs = made.map(({ startedAt, nextAttemptAt }) => nextAttemptAt!.getTime() - startedAt.getTime())
  expect(Math.min(...waitsMs)).toBeGreaterThanOrEqual(scheduledMs)
  // The delay counts from the response, which arrives some time after the start.
  expect(Math.max(...waitsMs)).toBeLessThanOrEqual(scheduledMs * 1.2 + 60_000)
  expect(Math.max(...waitsMs) - Math.min(...waitsMs)).toBeGreaterThan(scheduledMs * 0.05)
})
