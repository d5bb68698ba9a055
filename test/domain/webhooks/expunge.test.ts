import { expect, it } from 'vitest'
import { expungeWebhookMessage } from '../../../src/domain/webhooks/attempt/index.ts'
import { claimDeliveries, keepShape } from '../../../src/domain/webhooks/delivery/index.ts'
import { expireWebhookBodies } from '../../../src/domain/webhooks/delivery/jobs.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { until } from '../../support/wait.ts'
import { attempts, deliveries, fanOutAll, webhooksWorld } from './support.ts'

const world = webhooksWorld()

const create = async (url = 'http://127.0.0.1:9/') => (await world.createEndpoint({ url, eventTypes: ['project.updated'] })).webhookEndpoint
const expunge = (messageId: string) => execute(world.request(), expungeWebhookMessage, { messageId })
const bodyOf = (messageId: string) => row(world.app.db, sql`select body from webhook_delivery where message_id = ${messageId}::uuid`)
const claimOne = async () => {
  await fanOutAll(world.app)
  return (await claimDeliveries(world.app, 'worker', 10)).items[0]!
}

it('a body that is shaped while its message is expunged is not stored', async () => {
  await create()
  const eventId = await world.publishUpdate()
  const delivery = await claimOne()
  await expunge(eventId)
  expect(await keepShape(world.app, delivery, 'shaped')).toBe(false)
  expect(await bodyOf(eventId)).toEqual({ body: null })
})

it('a body is not stored for a delivery that is no longer pending', async () => {
  await create()
  const eventId = await world.publishUpdate()
  const delivery = await claimOne()
  await run(world.app.db, sql`update webhook_delivery set status = 'CANCELLED', next_attempt_at = null`)
  expect(await keepShape(world.app, delivery, 'shaped')).toBe(false)
  expect(await bodyOf(eventId)).toEqual({ body: null })
})

it('retention finds shaped bodies of messages whose own body has been removed', async () => {
  await create()
  const eventId = await world.publishUpdate()
  expect(await keepShape(world.app, await claimOne(), 'shaped')).toBe(true)
  await run(world.app.db, sql`update webhook_message set body = null where id = ${eventId}::uuid`)
  await run(world.app.db, sql`update webhook_delivery set status = 'DELIVERED', next_attempt_at = null`)
  await expireWebhookBodies.run(world.app, new AbortController().signal)
  expect(await bodyOf(eventId)).toEqual({ body: null })
})

it('an attempt that ends after its message was expunged is recorded without the response body', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const receiver = await world.receiver(() => ({ status: 200, body: 'thanks', delayUntil: released }))
  const endpoint = await create(receiver.url)
  world.work(world.app)
  const eventId = await world.publishUpdate()
  await receiver.waitFor(1)
  await expunge(eventId)
  release()
  const attempt = await until('the attempt is recorded', async () => (await attempts(world.app, endpoint.id))[0])
  expect(attempt).toMatchObject({ responseStatus: 200, responseBody: null })
  expect(await deliveries(world.app, endpoint.id)).toMatchObject([{ status: 'CANCELLED' }])
})
