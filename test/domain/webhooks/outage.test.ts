/** Deliveries during an outage of the database. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deliverWebhooks } from '../../../src/domain/webhooks/attempt/jobs.ts'
import { fanOutEvents } from '../../../src/domain/webhooks/delivery/jobs.ts'
import { outgoingHttp } from '../../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../../src/drivers/http/index.ts'
import { startJobs } from '../../../src/jobs/index.ts'
import type { Claimed, Queue } from '../../../src/platform/claim.ts'
import { createEgressGuard } from '../../../src/platform/egress.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createDatabaseProxy, type DatabaseProxy } from '../../support/database-proxy.ts'
import { until } from '../../support/wait.ts'
import { attempts, deliveries, fanOutAll, webhooksWorld } from './support.ts'

const world = webhooksWorld()
let proxy: DatabaseProxy
/** The process that sends and loses its database. */
let worker: TestApp

beforeEach(async () => {
  proxy = await createDatabaseProxy(world.url)
  worker = await createTestApp(proxy.url, { WORKER_LEASE_MS: '600000' })
})
afterEach(async () => {
  await worker.close()
  await proxy.close()
})

it.each([false, true])(
  'an outcome known before the database became unavailable is recorded, and nothing is sent twice (atMostOnce: %s)',
  async (atMostOnce) => {
    const { promise: answer, resolve: letAnswer } = Promise.withResolvers<void>()
    const receiver = await world.receiver(() => ({ status: 204, delayUntil: answer }))
    const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, atMostOnce })
    const http = createHttpOutgoing({ guard: createEgressGuard({ allow: worker.settings.EGRESS_ALLOW }) })
    outgoingHttp.provide(worker, http)
    const { transaction } = worker.db
    let failed = 0
    worker.db.transaction = (run) =>
      transaction(run).catch((error) => {
        failed++
        throw error
      })
    const sending = startJobs(worker, { queues: [deliverWebhooks] as Queue<never>[] as Queue<Claimed>[], chores: [], worker: 'worker' })
    const fanning = startJobs(world.app, { queues: [], chores: [fanOutEvents], worker: 'other' })
    try {
      await world.publishUpdate()
      await receiver.waitFor(1)
      await proxy.refuse()
      await until('the outage is known', () => worker.db.session.outage())
      letAnswer()
      await until('the outcome met the outage', () => failed > 0)
      await proxy.restore()
      await until('it is delivered', async () => (await deliveries(world.app, webhookEndpoint.id))[0]?.status === 'DELIVERED')
      expect(receiver.requests).toHaveLength(1)
      expect(await deliveries(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 1 }])
    } finally {
      await proxy.restore()
      await Promise.all([sending.stop({ graceMs: 0 }), fanning.stop({ graceMs: 0 })])
      await http.close()
    }
  },
)

describe('a batch of outcomes that is being written when the database is lost', () => {
  const count = 30

  it.each([
    ['before its commit', () => proxy.refuse()],
    ['before the answer to its commit', () => proxy.loseAnswers()],
  ])('%s is recorded once, and nothing is sent twice', async (_, lose) => {
    const { promise: answer, resolve: letAnswer } = Promise.withResolvers<void>()
    const receiver = await world.receiver(() => ({ status: 204, delayUntil: answer }))
    const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
    const http = createHttpOutgoing({ guard: createEgressGuard({ allow: worker.settings.EGRESS_ALLOW }) })
    outgoingHttp.provide(worker, http)
    for (let n = 0; n < count; n++) await world.publishUpdate()
    await fanOutAll(world.app)
    const sending = startJobs(worker, { queues: [deliverWebhooks] as Queue<never>[] as Queue<Claimed>[], chores: [], worker: 'worker' })
    try {
      await receiver.waitFor(count)
      // With new connections possible, the outage is over so soon that nobody who looks now and then would see it.
      const lost = new Promise((resolve) => worker.db.session.onLost(resolve))
      const { transaction } = worker.db
      let batches = 0
      worker.db.transaction = (work) =>
        transaction(async (tx) => {
          const result = await work(tx)
          // The first batch is a single outcome, the second one all that arrived meanwhile.
          if (++batches === 2) await lose()
          return result
        })
      letAnswer()
      await lost
      await proxy.restore()
      await until('all are delivered', async () =>
        (await deliveries(world.app, webhookEndpoint.id)).every(({ status }) => status === 'DELIVERED'),
      )
      await sending.stop({ graceMs: 60_000 })
      expect((await deliveries(world.app, webhookEndpoint.id)).map(({ attemptCount }) => attemptCount)).toEqual(Array(count).fill(1))
      const recorded = await attempts(world.app, webhookEndpoint.id)
      expect(recorded.map(({ number, responseStatus }) => [number, responseStatus])).toEqual(Array(count).fill([1, 204]))
      expect(receiver.requests).toHaveLength(count)
      expect(worker.logged.filter(({ level }) => Number(level) > 40).map(({ msg }) => msg)).toEqual(['the database is not available'])
    } finally {
      await proxy.restore()
      await sending.stop({ graceMs: 0 })
      await http.close()
    }
  })
})
