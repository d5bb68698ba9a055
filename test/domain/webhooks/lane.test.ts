/** What claims cost, and what the deliveries that a worker could not claim wait for. */
import { expect, it } from 'vitest'
import { claimDeliveries } from '../../../src/domain/webhooks/delivery/index.ts'
import { readLanes } from '../../../src/domain/webhooks/delivery/lane.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { nameProcess } from '../../../src/platform/process-name.ts'
import { fanOutAll, webhooksWorld } from './support.ts'

const world = webhooksWorld()

const create = async (settings: Record<string, unknown> = {}) =>
  (await world.createEndpoint({ url: 'http://127.0.0.1:9/', eventTypes: ['project.updated'], ...settings })).webhookEndpoint

async function publish(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await world.publishUpdate()
  await fanOutAll(world.app)
}

it.each([{ maxConcurrency: 5 }, {}])('lanes are read in as many blocks after thousands of deliveries as before: %o', async (settings) => {
  await create(settings)
  await publish(1)
  const { db } = world.app
  const blocksRead = () =>
    world.app.db.transaction(async (tx) => {
      const fetched = async () =>
        (await row<{ blocks: number }>(
          tx,
          sql`select sum(pg_stat_get_xact_blocks_fetched(c.oid))::int as blocks from pg_class c
              where c.oid = 'webhook_delivery'::regclass or c.oid in (select indexrelid from pg_index where indrelid = 'webhook_delivery'::regclass)`,
        ))!.blocks
      const before = await fetched()
      expect(await readLanes(tx, { name: 'worker', held: new Map() })).toHaveLength(1)
      return (await fetched()) - before
    })
  const before = await blocksRead()

  await run(
    db,
    sql`insert into webhook_message select (m.copy).* from (
    select jsonb_populate_record(one.m, jsonb_build_object('id', gen_random_uuid(), 'position', 1000 + n)) as copy
    from (select m from webhook_message m join webhook_delivery d on d.message_id = m.id limit 1) one, generate_series(1, 3000) n) m`,
  )
  await run(
    db,
    sql`insert into webhook_delivery (message_id, endpoint_id, organization_id, position, status, next_attempt_at)
    select m.id, d.endpoint_id, d.organization_id, m.position, 'PENDING', app_now()
    from webhook_message m cross join (select * from webhook_delivery limit 1) d where m.position > 1000`,
  )
  const others = sql`position > 1000`
  await run(db, sql`update webhook_delivery set lease_owner = 'worker', lease_expires_at = app_now() - interval '1 second' where ${others}`)
  await run(
    db,
    sql`update webhook_delivery set lease_owner = null, lease_expires_at = null, status = 'DELIVERED', next_attempt_at = null where ${others}`,
  )

  // The first reader marks the entries of ended deliveries in the indexes, and later ones skip them.
  await blocksRead()
  expect(await blocksRead()).toBeLessThan(before + 20)
})

it('a claim tells when the next delivery is due, beside those that it took', async () => {
  const endpoint = await create()
  await publish(3)
  await run(
    world.app.db,
    sql`update webhook_delivery set next_attempt_at = app_now() + interval '1 hour' where position = (select max(position) from webhook_delivery)`,
  )
  const { items, dueInMs, waitsForOwn } = await claimDeliveries(world.app, 'worker', 10)
  expect(items.map(({ endpointId }) => endpointId)).toEqual([endpoint.id, endpoint.id])
  // Others may hold deliveries of the lane for a moment.
  expect(dueInMs).toBeLessThan(1_000)
  expect(waitsForOwn).toBe(false)
  const next = await claimDeliveries(world.app, 'worker', 10, items)
  expect(next.items).toEqual([])
  expect(next.dueInMs).toBeGreaterThan(3_500_000)
  expect(next.waitsForOwn).toBe(false)
})

it.each([
  ['slots', {}, 1],
  ['its concurrency', { maxConcurrency: 1 }, 10],
  ['its order', { ordered: true }, 10],
])('deliveries of an endpoint that wait because of %s can be claimed when one of the own has ended', async (_, settings, free) => {
  await create(settings)
  await publish(3)
  const { items, waitsForOwn } = await claimDeliveries(world.app, 'worker', free)
  expect(items).toHaveLength(1)
  expect(waitsForOwn).toBe(true)
  expect(await claimDeliveries(world.app, 'worker', 0, items)).toMatchObject({ items: [], waitsForOwn: true })
})

it('deliveries behind a rate limit can be claimed when it allows the next one', async () => {
  await create({ rateLimitPerSecond: 2 })
  await publish(3)
  const { items, dueInMs, waitsForOwn } = await claimDeliveries(world.app, 'worker', 10)
  expect(items).toHaveLength(1)
  expect(dueInMs).toBeGreaterThan(0)
  expect(dueInMs).toBeLessThanOrEqual(500)
  expect(waitsForOwn).toBe(false)
})

it('behind the claim of another process on this machine, a worker looks again whether that process is alive', async () => {
  await create({ ordered: true })
  await publish(2)
  const [alive, exited] = [nameProcess(), nameProcess().replace(/:\d+:/, ':4194303:')]
  expect((await claimDeliveries(world.app, alive, 10)).items).toHaveLength(1)
  expect(await claimDeliveries(world.app, 'worker', 10)).toEqual({ items: [], dueInMs: 500, waitsForOwn: false })

  await run(world.app.db, sql`update webhook_delivery set lease_owner = ${exited} where lease_owner is not null`)
  expect(await claimDeliveries(world.app, 'worker', 10)).toEqual({ items: [], dueInMs: 0, waitsForOwn: false })
  expect((await claimDeliveries(world.app, 'worker', 10)).items).toMatchObject([{ lostBy: exited }])
})
