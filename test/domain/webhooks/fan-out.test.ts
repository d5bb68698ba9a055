import { expect, it } from 'vitest'
import { fanOut } from '../../../src/domain/webhooks/delivery/fan-out.ts'
import { row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { sequence } from '../../../src/platform/sequencer.ts'
import { createOrganization, createProjectRow, deliveries, fanOutAll, publishKeyRevoked, webhooksWorld } from './support.ts'

const world = webhooksWorld({}, { shared: 'database' })

const sentTo = async (endpointId: string) => (await deliveries(world.app, endpointId)).map((delivery) => delivery.messageId)
const url = 'http://127.0.0.1:9/'

it('an endpoint receives the types that it names, by name or by prefix, or all types', async () => {
  const make = async (eventTypes?: string[]) => (await world.createEndpoint({ url, eventTypes })).webhookEndpoint.id
  const [named, prefixed, both] = [await make(['api_key.revoked']), await make(['project.*']), await make(['project.*', 'api_key.revoked'])]
  const all = await make()
  const project = await world.publishUpdate()
  const key = await publishKeyRevoked(world.app, world.caller)
  await fanOutAll(world.app)
  expect(await sentTo(named)).toEqual([key])
  expect(await sentTo(prefixed)).toEqual([project])
  expect(await sentTo(both)).toEqual([project, key])
  expect(await sentTo(all)).toEqual([project, key])
})

it('an endpoint of a project receives only events of that project', async () => {
  const projectId = await createProjectRow(world.app, world.caller)
  const { webhookEndpoint } = await world.createEndpoint({ url, projectId, eventTypes: ['project.*', 'api_key.*'] })
  const own = await world.publishUpdate({ projectId })
  await world.publishUpdate({ projectId: newId() })
  await publishKeyRevoked(world.app, world.caller)
  await fanOutAll(world.app)
  expect(await sentTo(webhookEndpoint.id)).toEqual([own])
})

it("an organization's events never reach another's endpoint", async () => {
  const stranger = await createOrganization(world.app)
  const { webhookEndpoint } = await world.createEndpoint({ url }, stranger)
  await world.publishUpdate()
  await fanOutAll(world.app)
  expect(await sentTo(webhookEndpoint.id)).toEqual([])
})

it('events committed before an endpoint was created are not sent to it, even if they are positioned afterwards', async () => {
  await world.publishUpdate()
  const { webhookEndpoint } = await world.createEndpoint({ url })
  const after = await world.publishUpdate()
  await fanOutAll(world.app)
  expect(await sentTo(webhookEndpoint.id)).toEqual([after])
})

it('an event that matches no endpoint becomes a message without deliveries', async () => {
  const published = await world.publishUpdate()
  await fanOutAll(world.app)
  const message = await row(world.app.db, sql`select event_type from webhook_message where id = ${published}::uuid`)
  expect(message).toEqual({ eventType: 'project.updated' })
  const made = await rows(world.app.db, sql`select 1 from webhook_delivery where message_id = ${published}::uuid`)
  expect(made).toEqual([])
})

it('two processes that fan out concurrently create each message once', async () => {
  const { webhookEndpoint } = await world.createEndpoint({ url, eventTypes: ['project.updated'] })
  const published: string[] = []
  for (let n = 0; n < 20; n++) published.push(await world.publishUpdate())
  while ((await sequence(world.app)) > 0) {}
  const other = await world.process()
  const counts = await Promise.all([fanOut(world.app), fanOut(other), fanOut(world.app)])
  expect(counts.toSorted((a, b) => a - b).slice(0, 2)).toEqual([0, 0])
  expect(await sentTo(webhookEndpoint.id)).toEqual(published)
})

it('a fan-out of a thousand events takes a handful of statements for each batch', async () => {
  for (let n = 0; n < 3; n++) await world.createEndpoint({ url })
  await fanOutAll(world.app)
  await run(
    world.app.db,
    sql`insert into event (id, organization_id, type, schema_version, subject_type, subject_id, sequence, data)
        select gen_random_uuid(), ${world.caller.organizationId}::uuid, 'project.updated', 1, 'Project', ${newId()}::uuid, n, '{}'
        from generate_series(1, 1000) n`,
  )
  while ((await sequence(world.app)) > 0) {}
  let statements = 0
  const off = world.app.db.onStatement(() => statements++)
  let batches = 0
  while ((await fanOut(world.app)) > 0) batches++
  off()
  expect(batches).toBe(4)
  // The look, begin, cursor, events, start positions, messages, deliveries, those with a payload filter, cursor, commit; and the last, empty look.
  expect(statements).toBeLessThanOrEqual(batches * 10 + 1)
})
