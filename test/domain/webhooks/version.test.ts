import { expect, it } from 'vitest'
import { z } from 'zod'
import { updateWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { defineConcept } from '../../../src/platform/concept.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { defineEvent, maxEventBytes, publish } from '../../../src/platform/events.ts'
import { newId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { createEndpoint, createOrganization, eventsOf, settled, webhooksWorld } from './support.ts'

const thingChanged = defineEvent({
  type: 'thing.changed',
  version: 2,
  description: 'A type of these tests alone.',
  subject: 'Project',
  schema: z.object({ name: z.object({ first: z.string(), last: z.string() }) }),
  sample: { name: { first: 'Ada', last: 'Lovelace' } },
  former: [
    {
      version: 1,
      schema: z.object({ name: z.string() }),
      sample: { name: 'Ada Lovelace' },
      from: ({ name }: { name: { first: string; last: string } }) => ({ name: `${name.first} ${name.last}` }),
    },
  ],
  deprecatedAt: '2026-01-01',
})
const noted = defineEvent({
  type: 'thing.noted',
  version: 1,
  description: 'A type of these tests alone.',
  subject: 'Project',
  schema: z.object({ text: z.string() }),
  sample: { text: 'a' },
})

const things = defineConcept({ name: 'things', events: [thingChanged, noted] })

const world = webhooksWorld({}, { shared: true, concepts: [things] })

type Given = { id?: string; subjectId?: string; as?: Caller; channels?: string[] }
const say = (text: string, { id, subjectId = newId(), as = world.caller, channels }: Given = {}) =>
  transact(world.app, as, { emits: world.app.domain.eventTypes.all }, (work) =>
    publish(work, noted, { subjectId, projectId: null, data: { text }, id, channels }),
  )

it('an endpoint pinned to v1 keeps receiving v1 after v2 is sent to others; a deprecated type is sent with its date', async () => {
  expect(world.app.domain.eventTypes.all.some(({ type, version }) => type === 'thing.changed' && version === 2)).toBe(true)
  const [old, recent] = [await world.receiver((_, n) => ({ status: n === 1 ? 500 : 200 })), await world.receiver()]
  const pinned = await world.createEndpoint({
    url: old.url,
    eventTypes: ['thing.changed'],
    schemaVersion: 1,
    retryScheduleMs: [20],
  })
  const fresh = await world.createEndpoint({ url: recent.url, eventTypes: ['thing.changed'] })
  expect([pinned.webhookEndpoint.schemaVersion, fresh.webhookEndpoint.schemaVersion]).toEqual([1, 2])
  const jobs = world.work(world.app)
  const data = { name: { first: 'Ada', last: 'Lovelace' } }
  await transact(world.app, world.caller, { emits: world.app.domain.eventTypes.all }, (work) =>
    publish(work, thingChanged, { subjectId: newId(), projectId: null, data }),
  )
  await settled(world.app, pinned.webhookEndpoint.id)
  await settled(world.app, fresh.webhookEndpoint.id)
  expect(JSON.parse(old.requests[0]!.body.toString())).toMatchObject({ data: { name: 'Ada Lovelace' }, schemaVersion: 1 })
  expect(old.requests[1]!.body.equals(old.requests[0]!.body)).toBe(true)
  expect(JSON.parse(recent.requests[0]!.body.toString())).toMatchObject({ data, schemaVersion: 2 })
  expect(recent.requests[0]!.headers.deprecation).toBe('@1767225600')
  await jobs.stop({ graceMs: 1_000 })
})

it('with EVENT_SCHEMA=lenient, data that violates its schema arrives, even if it cannot be converted to an older version', async () => {
  const lenient = await world.process({ EVENT_SCHEMA: 'lenient' })
  const [old, recent] = [await world.receiver(), await world.receiver()]
  for (const [receiver, schemaVersion] of [[old, 1] as const, [recent, 2] as const])
    await createEndpoint(lenient, world.caller, { url: receiver.url, eventTypes: ['thing.changed'], schemaVersion })
  const jobs = world.work(lenient)
  const data = { name: null } as never
  await transact(lenient, world.caller, { emits: lenient.domain.eventTypes.all }, (work) =>
    publish(work, thingChanged, { subjectId: newId(), projectId: null, data }),
  )
  for (const receiver of [old, recent]) {
    const [received] = await receiver.waitFor(1)
    expect(JSON.parse(received!.body.toString())).toMatchObject({ data: { name: null }, schemaVersion: 2 })
  }
  await jobs.stop({ graceMs: 1_000 })
})

it('a schema version must be one that a type of the endpoint has, unless it is unchanged', async () => {
  const url = 'http://127.0.0.1:9/'
  const save = (id: string, input: CommandInput) => execute(world.request(), updateWebhookEndpoint, { id, ...input })
  await expect(world.createEndpoint({ url, eventTypes: ['thing.noted'], schemaVersion: 2 })).rejects.toMatchObject({
    field: 'schemaVersion',
  })
  const { webhookEndpoint } = await world.createEndpoint({ url, eventTypes: ['thing.*'], schemaVersion: 2 })
  const narrowed = await save(webhookEndpoint.id, { eventTypes: ['thing.noted'], schemaVersion: 2 })
  expect(narrowed.webhookEndpoint.schemaVersion).toBe(2)
  await expect(save(webhookEndpoint.id, { schemaVersion: 3 })).rejects.toMatchObject({ field: 'schemaVersion' })
})

it('data that violates its schema is refused at publish, and nothing is stored', async () => {
  const before = (await eventsOf(world.app, world.caller, 'thing.noted')).length
  await expect(say(7 as never)).rejects.toThrow('string')
  expect(await eventsOf(world.app, world.caller, 'thing.noted')).toHaveLength(before)
})

it('at the size limit accepted; one byte over refused, and nothing is stored', async () => {
  const room = maxEventBytes - JSON.stringify({ text: '' }).length
  const before = (await eventsOf(world.app, world.caller, 'thing.noted')).length
  await say('x'.repeat(room))
  await expect(say('x'.repeat(room + 1))).rejects.toMatchObject({ code: 'payload_too_large' })
  expect(await eventsOf(world.app, world.caller, 'thing.noted')).toHaveLength(before + 1)
})

it.each(['a.b', 'a\nb', 'evt 1', '', 'x'.repeat(300)])('a caller’s event ID %j is refused', async (id) => {
  await expect(say('a', { id })).rejects.toMatchObject({ code: 'invalid_input', field: 'id' })
})

it('publishing twice with the same ID creates one event; the same ID with other content is a conflict', async () => {
  const [id, subjectId] = [newId(), newId()]
  await Promise.all([say('once', { id, subjectId }), say('once', { id, subjectId })])
  await expect(say('another', { id, subjectId })).rejects.toMatchObject({ code: 'event_id_conflict', kind: 'conflict' })
  await expect(say('once', { id, subjectId, as: await createOrganization(world.app) })).rejects.toMatchObject({ code: 'event_id_conflict' })
  await say('next', { subjectId })
  const found = await (await world.app.db.prismaClient()).event.findMany({ where: { subjectId }, orderBy: { sequence: 'asc' } })
  expect(found.map(({ sequence, data }) => [sequence, data])).toEqual([
    [1, { text: 'once' }],
    [2, { text: 'next' }],
  ])
})

it.each([['a b'], ['a\nb'], [''], Array.from({ length: 11 }, (_, n) => `c${n}`)])(
  'channels %j are refused at publish',
  async (...channels) => {
    await expect(say('a', { channels })).rejects.toMatchObject({ code: 'invalid_input', field: 'channels' })
  },
)

it('one tenant that publishes too much is rate_limited; others and Quayside itself are not', async () => {
  const narrow = await world.process({ EVENT_QUOTA_PER_MINUTE: '5' })
  const member = (as: Caller): Caller => ({ ...as, subject: { type: 'user', id: newId(), name: 'ada' } })
  const flooding = await createOrganization(world.app)
  const other = await createOrganization(world.app)
  const publishAs = (as: Caller) =>
    transact(narrow, as, { emits: narrow.domain.eventTypes.all }, (work) =>
      publish(work, noted, { subjectId: newId(), projectId: null, data: { text: 'a' } }),
    )
  for (let n = 0; n < 5; n++) await publishAs(member(flooding))
  await expect(publishAs(member(flooding))).rejects.toMatchObject({
    code: 'rate_limited',
    kind: 'rate_limited',
    details: { quota: 5, retryAfterSeconds: expect.any(Number) },
  })
  await publishAs(flooding)
  await publishAs(member(other))
})

it('the quota includes events of other processes once they are positioned', async () => {
  const { sequence } = await import('../../../src/platform/sequencer.ts')
  const narrow = await world.process({ EVENT_QUOTA_PER_MINUTE: '5' })
  const tenant = await createOrganization(world.app)
  // Within one minute of the database's clock, whatever the actual time.
  await run(
    world.app.db,
    sql`create or replace function app_now() returns timestamptz language sql stable parallel safe as $$ select date_trunc('minute', now()) $$`,
  )
  for (let n = 0; n < 5; n++) await say('a', { as: tenant })
  while ((await sequence(world.app)) > 0) {}
  const as: Caller = { ...tenant, subject: { type: 'user', id: newId(), name: 'ada' } }
  await expect(
    transact(narrow, as, { emits: narrow.domain.eventTypes.all }, (work) =>
      publish(work, noted, { subjectId: newId(), projectId: null, data: { text: 'a' } }),
    ),
  ).rejects.toMatchObject({ code: 'rate_limited' })
})
