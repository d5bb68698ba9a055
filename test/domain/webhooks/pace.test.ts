import { describe, expect, it } from 'vitest'
import { deliverWebhooks } from '../../../src/domain/webhooks/attempt/jobs.ts'
import { updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import type { ReceivedRequest } from '../../support/receiver.ts'
import { operation } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import {
  attempts,
  createEndpoint,
  createOrganization,
  deliveries,
  fannedOut,
  publishKeyRevoked,
  publishUpdate,
  settled,
  webhooksWorld,
} from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30,30', WEBHOOK_BREAKER_MS: '200' })

const create = (input: CommandInput) => world.createEndpoint({ eventTypes: ['project.updated'], ...input })
const update = (id: string, input: CommandInput) => execute(world.request(), updateWebhookEndpoint, { id, ...input })
const ids = (requests: readonly ReceivedRequest[]) => requests.map((received) => received.headers['webhook-id'])
const breakerUntil = async (id: string) =>
  (await row<{ until: Date | null }>(world.app.db, sql`select breaker_until as until from webhook_lane where endpoint_id = ${id}::uuid`))!
    .until
const evt = (id: string) => encodeId('WebhookMessage', id)
describe('ordering', () => {
  it('by default, a failing event does not block later ones', async () => {
    const receiver = await world.receiver((_, n) => ({ status: n === 1 ? 500 : 200 }))
    const { webhookEndpoint } = await create({ url: receiver.url, retryScheduleMs: [3_600_000] })
    world.work(world.app)
    await world.publishUpdate()
    await receiver.waitFor(1)
    await world.publishUpdate()
    await receiver.waitFor(2)
    await until('the second is delivered', async () =>
      (await deliveries(world.app, webhookEndpoint.id)).some(({ status }) => status === 'DELIVERED'),
    )
  })

  it('at an ordered endpoint, 200 events with random 500s arrive in commit order, one in flight at a time', async () => {
    let flying = 0
    let most = 0
    const accepted: string[] = []
    let seed = 7
    const chance = () => {
      seed = (seed * 16_807) % 2_147_483_647
      return seed / 2_147_483_647
    }
    const receiver = await world.receiver((received) => {
      most = Math.max(most, ++flying)
      const status = chance() < 0.15 ? 500 : 200
      if (status === 200) accepted.push(String(received.headers['webhook-id']))
      const delayUntil = new Promise<void>((resolve) => setImmediate(resolve)).then(() => void flying--)
      return { status, delayUntil }
    })
    const { webhookEndpoint } = await create({ url: receiver.url, ordered: true, retryScheduleMs: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1] })
    world.work(world.app, 'one')
    world.work(await world.process(), 'two')
    for (let n = 0; n < 200; n++) await world.publishUpdate()
    await settled(world.app, webhookEndpoint.id, 200)
    const order = await fannedOut(world.app, world.caller)
    const wanted = new Set((await deliveries(world.app, webhookEndpoint.id)).map(({ messageId }) => messageId))
    expect(accepted).toEqual(order.filter((id) => wanted.has(id)).map(evt))
    expect(most).toBe(1)
    expect(receiver.requests.length).toBeGreaterThan(200)
  })

  it('the envelope carries a per-subject sequence', async () => {
    const receiver = await world.receiver()
    await create({ url: receiver.url })
    world.work(world.app)
    const projectId = crypto.randomUUID()
    for (let n = 0; n < 3; n++) await world.publishUpdate({ projectId })
    const received = await receiver.waitFor(3)
    expect(received.map(({ body }) => (JSON.parse(body.toString()) as { sequence: number }).sequence).toSorted()).toEqual([1, 2, 3])
  })
})

describe('throttle and fairness', () => {
  it('with a limit of 10 per second, 30 messages take as long as that across all workers, all arrive, and none fails', async () => {
    const receiver = await world.receiver()
    const { webhookEndpoint } = await create({ url: receiver.url, rateLimitPerSecond: 10 })
    for (let n = 0; n < 30; n++) await world.publishUpdate()
    const second = await world.process()
    const began = performance.now()
    world.work(world.app, 'one')
    world.work(second, 'two')
    const rows = await settled(world.app, webhookEndpoint.id, 30)
    expect(rows.every(({ status, attemptCount }) => status === 'DELIVERED' && attemptCount === 1)).toBe(true)
    // A burst may be sent at once. When each of the others arrives depends on the machine, but together they cannot exceed the rate.
    expect(performance.now() - began).toBeGreaterThanOrEqual(1_900)
    expect(receiver.requests).toHaveLength(30)
  })

  it('max concurrency is shared by all workers', async () => {
    let flying = 0
    let most = 0
    const receiver = await world.receiver(() => {
      most = Math.max(most, ++flying)
      return { status: 200, delayUntil: new Promise<void>((resolve) => setTimeout(resolve, 20)).then(() => void flying--) }
    })
    const { webhookEndpoint } = await create({ url: receiver.url, maxConcurrency: 3 })
    for (let n = 0; n < 40; n++) await world.publishUpdate()
    world.work(world.app, 'one')
    world.work(await world.process(), 'two')
    await settled(world.app, webhookEndpoint.id, 40)
    expect(most).toBeLessThanOrEqual(3)
    expect(most).toBeGreaterThan(1)
  })

  it('an endpoint that does not respond opens the breaker: one probe at a time, until it closes and all messages arrive', async () => {
    const receiver = await world.receiver()
    const { url } = receiver
    await receiver.close()
    // Long enough that a second probe cannot start before the first one is counted.
    const probing = await world.process({ WEBHOOK_BREAKER_MS: '3000' })
    const { webhookEndpoint } = await create({ url, retryScheduleMs: [...Array.from({ length: 19 }, () => 20), 3_000] })
    for (let n = 0; n < 40; n++) await world.publishUpdate()
    world.work(probing)
    await until('the breaker is open', () => breakerUntil(webhookEndpoint.id))
    await until('what was in flight has ended', async () => {
      const flying = await row(
        world.app.db,
        sql`select 1 from webhook_delivery where lease_owner is not null and lease_expires_at > app_now() limit 1`,
      )
      return flying === null
    })
    const before = (await attempts(world.app, webhookEndpoint.id)).length
    await until('a probe was made', async () => (await attempts(world.app, webhookEndpoint.id)).length > before)
    expect((await attempts(world.app, webhookEndpoint.id)).length).toBe(before + 1)
    const revived = await world.receiver()
    await update(webhookEndpoint.id, { url: revived.url })
    await settled(world.app, webhookEndpoint.id, 40)
    expect(await breakerUntil(webhookEndpoint.id)).toBeNull()
    expect(new Set(ids(revived.requests)).size).toBe(40)
  })

  it('the breaker stays open no longer than the longest delay of the schedule, whether of the endpoint or the installation', async () => {
    const slow = await world.process({ WEBHOOK_BREAKER_MS: '3600000', WEBHOOK_RETRY_SCHEDULE_MS: Array(20).fill('20').join() })
    const receiver = await world.receiver()
    const { url } = receiver
    await receiver.close()
    const ids = [await create({ url }), await create({ url, retryScheduleMs: Array(20).fill(20) })].map((made) => made.webhookEndpoint.id)
    for (let n = 0; n < 25; n++) await publishUpdate(slow, world.caller)
    world.work(slow)
    for (const id of ids) await until('the breaker opens', () => breakerUntil(id))
    const revived = await world.receiver()
    for (const id of ids) await update(id, { url: revived.url })
    for (const id of ids) expect((await settled(slow, id, 25)).every(({ status }) => status === 'DELIVERED')).toBe(true)
  })

  it('deliveries behind an open breaker show the time of the next probe', async () => {
    const slow = await world.process({ WEBHOOK_BREAKER_MS: '600000', WEBHOOK_RETRY_SCHEDULE_MS: '20,20,3600000' })
    const receiver = await world.receiver()
    await receiver.close()
    const { webhookEndpoint } = await create({ url: receiver.url, maxConcurrency: 1 })
    for (let n = 0; n < 30; n++) await publishUpdate(slow, world.caller)
    world.work(slow)
    const opensAt = await until('the breaker is open', () => breakerUntil(webhookEndpoint.id))
    await fannedOut(slow, world.caller)
    const source = '{ webhookMessages(first: 50, eventType: "project.updated") { nodes { deliveries { status nextAttemptAt } } } }'
    const { data } = await operation(slow, world.caller, source)
    type Shown = { deliveries: { status: string; nextAttemptAt: string }[] }
    const shown = (data!.webhookMessages.nodes as Shown[]).flatMap((message) => message.deliveries)
    expect(shown).toHaveLength(30)
    for (const { status, nextAttemptAt } of shown) {
      expect(status).toBe('PENDING')
      expect(new Date(nextAttemptAt).getTime()).toBeGreaterThanOrEqual(opensAt.getTime())
    }
    expect(shown.some(({ nextAttemptAt }) => nextAttemptAt === opensAt.toISOString())).toBe(true)
  })

  it('however many receivers of a tenant hang, its other endpoints and other tenants still receive messages', async () => {
    const { promise: never } = Promise.withResolvers<void>()
    const hanging = await world.receiver(() => ({ status: 200, delayUntil: never }))
    const inFlight = async () =>
      (await row<{ n: number }>(
        world.app.db,
        sql`select count(*)::int as n from webhook_delivery
            where organization_id = ${world.caller.organizationId}::uuid and lease_owner is not null and lease_expires_at > app_now()`,
      ))!.n
    await create({ url: hanging.url, timeoutMs: 30_000 })
    for (let n = 0; n < 100; n++) await world.publishUpdate()
    world.work(world.app)
    await until('it holds its share', async () => (await inFlight()) === deliverWebhooks.concurrency / 2)
    const receiver = await world.receiver()
    const neighbour = await create({ url: receiver.url, eventTypes: ['api_key.revoked'] })
    for (let n = 0; n < 5; n++) await publishKeyRevoked(world.app, world.caller)
    await receiver.waitFor(5)

    for (let n = 0; n < 8; n++) await create({ url: hanging.url, timeoutMs: 30_000 })
    for (let n = 0; n < 10; n++) await world.publishUpdate()
    await until('all of them hang', async () => (await inFlight()) > deliverWebhooks.concurrency * 0.6)
    for (let n = 0; n < 5; n++) await publishKeyRevoked(world.app, world.caller)
    const other = await createOrganization(world.app)
    await createEndpoint(world.app, other, { url: receiver.url, eventTypes: ['project.updated'] })
    for (let n = 0; n < 5; n++) await publishUpdate(world.app, other)
    await receiver.waitFor(15)
    await settled(world.app, neighbour.webhookEndpoint.id, 10)
    expect(await inFlight()).toBeLessThanOrEqual(deliverWebhooks.concurrency * 0.75)
  })
})
