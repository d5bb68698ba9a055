import { describe, expect, it } from 'vitest'
import { claimDeliveries, releaseDelivery } from '../../../src/domain/webhooks/delivery/index.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { fanOutAll, webhooksWorld } from './support.ts'

const world = webhooksWorld()

const create = async (ordered: boolean) =>
  (await world.createEndpoint({ url: 'http://127.0.0.1:9/', eventTypes: ['project.updated'], ordered })).webhookEndpoint
const claim = async () => (await claimDeliveries(world.app, 'worker', 10)).items
const claimed = async () => (await claim()).map(({ messageId }) => messageId)

describe.each([
  { endpoint: 'an ordered endpoint has nothing to claim', ordered: true, gives: 0 },
  { endpoint: 'another endpoint has the others to claim', ordered: false, gives: 2 },
])('while its first delivery is locked by another transaction $endpoint', ({ ordered, gives }) => {
  it('and that delivery is the next one afterwards', async () => {
    const { id } = await create(ordered)
    const published = [await world.publishUpdate(), await world.publishUpdate(), await world.publishUpdate()]
    await fanOutAll(world.app)
    await world.app.db.transaction(async (tx) => {
      await run(tx, sql`select 1 from webhook_delivery where endpoint_id = ${id}::uuid and message_id = ${published[0]!}::uuid for update`)
      expect((await claimed()).toSorted()).toEqual(published.slice(3 - gives).toSorted())
    })
    expect(await claimed()).toEqual([published[0]])
  })
})

it('an ordered endpoint waits until its first delivery is due again', async () => {
  await create(true)
  const published = [await world.publishUpdate(), await world.publishUpdate()]
  await fanOutAll(world.app)
  const [first] = await claim()
  expect(first!.messageId).toBe(published[0])
  await releaseDelivery(world.app, first!, true)
  await run(
    world.app.db,
    sql`update webhook_delivery set next_attempt_at = app_now() + interval '1 minute' where message_id = ${published[0]!}::uuid`,
  )
  expect(await claimed()).toEqual([])
})
