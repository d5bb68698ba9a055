/** Deliveries whose workers died: how their attempts are listed, and when a delivery is set aside. */
import { describe, expect, it } from 'vitest'
import { claimDeliveries, resendWebhookMessage } from '../../../src/domain/webhooks/delivery/index.ts'

import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { until } from '../../support/wait.ts'
import { attempts, deliveries, eventsOf, fanOutAll, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WORKER_LEASE_MS: '500' })

const create = async (input: CommandInput) => (await world.createEndpoint({ eventTypes: ['project.updated'], ...input })).webhookEndpoint

/** A process claims the due delivery, as soon as the previous lease has expired, and dies silently. */
async function claimAndDie(worker: string): Promise<void> {
  await fanOutAll(world.app)
  await until('the lease before is over', async () => (await claimDeliveries(world.app, worker, 10)).items.length === 1)
}

it('an attempt whose outcome was lost is listed as UNKNOWN and is not a step of the schedule', async () => {
  const receiver = await world.receiver()
  const endpoint = await create({ url: receiver.url, retryScheduleMs: [] })
  await world.publishUpdate()
  await claimAndDie('the lost one')
  world.work(world.app, 'heir')
  expect(await settled(world.app, endpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 2 }])
  expect(await attempts(world.app, endpoint.id)).toMatchObject([
    { number: 1, errorClass: 'UNKNOWN', worker: 'the lost one', responseStatus: null, requestHeaders: null, url: receiver.url },
    { number: 2, errorClass: null, worker: 'heir', responseStatus: 204 },
  ])
})

describe('with at-most-once delivery', () => {
  it('a lost attempt is the only one listed', async () => {
    const receiver = await world.receiver()
    const endpoint = await create({ url: receiver.url, atMostOnce: true })
    await world.publishUpdate()
    await claimAndDie('the lost one')
    world.work(world.app, 'heir')
    expect(await settled(world.app, endpoint.id)).toMatchObject([{ status: 'UNKNOWN', attemptCount: 1 }])
    expect(await attempts(world.app, endpoint.id)).toMatchObject([
      { number: 1, errorClass: 'UNKNOWN', worker: 'the lost one', nextAttemptAt: null },
    ])
    expect(receiver.requests).toHaveLength(0)
  })

  it('an attempt interrupted by a stop is listed, too', async () => {
    const { promise: never } = Promise.withResolvers<void>()
    const receiver = await world.receiver(() => ({ status: 200, delayUntil: never }))
    const endpoint = await create({ url: receiver.url, atMostOnce: true })
    const jobs = world.work(world.app, 'leaving')
    await world.publishUpdate()
    await receiver.waitFor(1)
    await jobs.stop({ graceMs: 0 })
    expect(await deliveries(world.app, endpoint.id)).toMatchObject([{ status: 'UNKNOWN', attemptCount: 1 }])
    expect(await attempts(world.app, endpoint.id)).toMatchObject([{ number: 1, errorClass: 'UNKNOWN', worker: 'leaving' }])
  })
})

it('an attempt interrupted by a stop is listed when the next process sends the message again', async () => {
  const { promise: never } = Promise.withResolvers<void>()
  const receiver = await world.receiver((_, n) => (n === 1 ? { status: 200, delayUntil: never } : { status: 200 }))
  const endpoint = await create({ url: receiver.url })
  const jobs = world.work(world.app, 'leaving')
  await world.publishUpdate()
  await receiver.waitFor(1)
  await jobs.stop({ graceMs: 0 })
  world.work(world.app, 'next')
  expect(await settled(world.app, endpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 2 }])
  expect(await attempts(world.app, endpoint.id)).toMatchObject([
    { number: 1, errorClass: 'UNKNOWN', worker: 'leaving' },
    { number: 2, errorClass: null, worker: 'next' },
  ])
})

it('a delivery that three processes in a row held when they died is set aside with the reason, and sent at a manual resend', async () => {
  const receiver = await world.receiver()
  const endpoint = await create({ url: receiver.url })
  const also = await create({ url: receiver.url, eventTypes: ['webhook_endpoint.exhausted'] })
  const messageId = await world.publishUpdate()
  for (const worker of ['first', 'second', 'third']) await claimAndDie(worker)
  world.work(world.app, 'heir')
  expect(await settled(world.app, endpoint.id)).toMatchObject([
    { status: 'EXHAUSTED', reason: expect.stringMatching(/^The last 3 processes that handled it all exited/) },
  ])
  expect(await settled(world.app, also.id)).toMatchObject([{ status: 'DELIVERED' }])
  expect(await eventsOf(world.app, world.caller, 'webhook_endpoint.exhausted')).toHaveLength(1)
  expect(receiver.requests).toHaveLength(1)

  await execute(world.request(), resendWebhookMessage, { endpointId: endpoint.id, messageId })
  expect(await settled(world.app, endpoint.id)).toMatchObject([{ status: 'DELIVERED' }])
})
