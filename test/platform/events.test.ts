import { afterAll, beforeAll, expect, it } from 'vitest'
import { ZodError, z } from 'zod'
import { defineConcept } from '../../src/platform/concept.ts'
import { rows, sql } from '../../src/platform/db/index.ts'
import { defineEvent, type EventDefinition, flaggedEvents, maxEventBytes, onEvent, publish } from '../../src/platform/events.ts'
import { encodeId, newId } from '../../src/platform/id.ts'
import { transact } from '../../src/platform/work.ts'
import { codeOf, createTenant, createWorld, type Tenant, type World } from '../support/tenant.ts'

const define = <Data>(type: string, schema: z.ZodType<Data>, sample: Data): EventDefinition<Data> =>
  defineEvent({ type, version: 3, description: 'For a test.', subject: 'Project', schema, sample })

const plain = define('test.plain', z.object({ text: z.string() }), { text: 'x' })
const chain = define('test.chain', z.object({ depth: z.number() }), { depth: 0 })

const sly = define('test.sly', z.object({}), {})

const order: string[] = []
const probes = defineConcept({
  name: 'probes',
  events: [plain, chain, sly],
  reactions: [
    onEvent(
      chain,
      async (work, { data }) => {
        order.push(`first ${data.depth}`)
        if (data.depth === 0) await publish(work, chain, { subjectId: newId(), projectId: null, data: { depth: 1 } })
        return { first: data.depth, both: 'first' }
      },
      { emits: [chain] },
    ),
    onEvent(chain, async (_work, { data }) => {
      order.push(`second ${data.depth}`)
      return { both: 'second' }
    }),
    onEvent(sly, async (work) => {
      await publish(work, plain, { subjectId: newId(), projectId: null, data: { text: 'sly' } })
    }),
  ],
})

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld({}, [probes])
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

const tell = <Data>(
  event: EventDefinition<Data>,
  data: Data,
  more: { subjectId?: string; id?: string; channels?: string[]; projectId?: string } = {},
) =>
  transact(world.app, tenant.owner, { requestId: 'r1', emits: world.app.domain.eventTypes.all }, (work) =>
    publish(work, event, { subjectId: newId(), projectId: null, data, ...more }),
  )

const eventsOf = (subjectId: string) => rows(world.app.db, sql`select * from event where subject_id = ${subjectId}::uuid order by sequence`)

it('an event is stored with everything that readers need, without a position', async () => {
  const [id, subjectId, projectId] = [newId(), newId(), newId()]
  await tell(plain, { text: 'ä' }, { id, subjectId, projectId, channels: ['a'] })
  expect(await eventsOf(subjectId)).toMatchObject([
    {
      id,
      position: null,
      organizationId: tenant.organizationId,
      projectId,
      type: 'test.plain',
      schemaVersion: 3,
      subjectType: 'Project',
      sequence: 1,
      data: { text: 'ä' },
      channels: ['a'],
      requestId: 'r1',
    },
  ])
})

it('an id is published once: the same content again has no effect, other content is refused', async () => {
  const [id, subjectId] = [newId(), newId()]
  const twice = await Promise.all([tell(chain, { depth: 5 }, { id, subjectId }), tell(chain, { depth: 5 }, { id, subjectId })])
  expect(twice).toContainEqual({})
  expect(await codeOf(tell(chain, { depth: 5 }, { id, subjectId }))).toBe('done')
  expect(await codeOf(tell(chain, { depth: 6 }, { id, subjectId }))).toBe('event_id_conflict')
  expect(await codeOf(tell(chain, { depth: 5 }, { id, subjectId: newId() }))).toBe('event_id_conflict')
  expect(await eventsOf(subjectId)).toHaveLength(1)
})

it.each([
  ['data that breaks the schema', { text: 5 }],
  ['data without a field', {}],
])('%s is not published, and its change is rolled back', async (_title, data) => {
  const subjectId = newId()
  const outcome = transact(world.app, tenant.owner, { emits: world.app.domain.eventTypes.all }, async (work) => {
    await publish(work, plain, { subjectId, projectId: null, data: { text: 'before' } })
    await publish(work, plain, { subjectId, projectId: null, data: data as never })
  })
  await expect(outcome).rejects.toThrow(ZodError)
  expect(await eventsOf(subjectId)).toEqual([])
})

it('with EVENT_SCHEMA=lenient, data that breaks the schema is published, and reported in log and metrics without its values', async () => {
  const app = await world.process({ EVENT_SCHEMA: 'lenient' })
  const [id, subjectId] = [newId(), newId()]
  const data = { text: 5, secret: 'hunter2' } as never
  await transact(app, tenant.owner, { emits: app.domain.eventTypes.all }, (work) =>
    publish(work, plain, { id, subjectId, projectId: null, data }),
  )
  await transact(app, tenant.owner, { emits: app.domain.eventTypes.all }, (work) =>
    publish(work, plain, { subjectId, projectId: null, data: { text: 'good' } }),
  )
  expect(await eventsOf(subjectId)).toMatchObject([{ data: { text: 5 } }, { data: { text: 'good' } }])
  const flags = app.logged.filter(({ msg }) => String(msg).includes('does not match its schema'))
  expect(flags).toMatchObject([
    { level: 50, event: encodeId('WebhookMessage', id), type: 'test.plain', issues: [{ field: 'text', message: expect.any(String) }] },
  ])
  expect(JSON.stringify([await eventsOf(subjectId), flags], (_, value) => (typeof value === 'bigint' ? 0 : value))).not.toContain('hunter2')
  expect((await flaggedEvents.get()).values).toContainEqual({ labels: { type: 'test.plain' }, value: 1 })
})

it('fields that the schema does not have are not published', async () => {
  const subjectId = newId()
  await tell(plain, { text: 'x', secret: 'hunter2' } as { text: string }, { subjectId })
  expect(await eventsOf(subjectId)).toMatchObject([{ data: { text: 'x' } }])
  expect(JSON.stringify((await eventsOf(subjectId)).map((event) => (event as { data: unknown }).data))).not.toContain('hunter2')
})

it('an event above the size limit is refused, one at the limit is published', async () => {
  const room = maxEventBytes - JSON.stringify({ text: '' }).length
  expect(await codeOf(tell(plain, { text: 'x'.repeat(room) }))).toBe('done')
  expect(await codeOf(tell(plain, { text: 'x'.repeat(room + 1) }))).toBe('payload_too_large')
  expect(await codeOf(tell(plain, { text: 'ä'.repeat(room - 10) }))).toBe('payload_too_large')
})

it('reactions run in the order of their declaration, in the same transaction, and what they add is answered', async () => {
  order.length = 0
  expect(await tell(chain, { depth: 0 })).toEqual({ first: 0, both: 'second' })
  expect(order).toEqual(['first 0', 'first 1', 'second 1', 'second 0'])
})

it('an event is published by work that declares its type, and by no other; the change is not made', async () => {
  const subjectId = newId()
  const outcome = transact(world.app, tenant.owner, { emits: [chain] }, (work) =>
    publish(work, plain, { subjectId, projectId: null, data: { text: 'x' } }),
  )
  await expect(outcome).rejects.toThrow('event type test.plain is not declared by the work that publishes it')
  expect(await eventsOf(subjectId)).toEqual([])
  const undeclared = define('test.undeclared', z.object({}), {})
  const unknown = transact(world.app, tenant.owner, { emits: [undeclared] }, (work) =>
    publish(work, undeclared, { subjectId, projectId: null, data: {} }),
  )
  await expect(unknown).rejects.toThrow('event type test.undeclared is not declared by any concept')
})

it('in production such an event is published and reported: the change is worth more', async () => {
  const app = await world.process({ NODE_ENV: 'production' })
  const subjectId = newId()
  await transact(app, tenant.owner, {}, (work) => publish(work, plain, { subjectId, projectId: null, data: { text: 'x' } }))
  expect(await eventsOf(subjectId)).toHaveLength(1)
  expect(app.logged.filter(({ msg }) => String(msg).includes('not declared'))).toMatchObject([{ level: 50, type: 'test.plain' }])
})

it('a reaction may publish what it declares, not what the change declares', async () => {
  const subjectId = newId()
  const outcome = transact(world.app, tenant.owner, { emits: [plain, sly] }, (work) =>
    publish(work, sly, { subjectId, projectId: null, data: {} }),
  )
  await expect(outcome).rejects.toThrow('event type test.plain is not declared by the work that publishes it')
})

it('a type is found by its name, and all are sorted', () => {
  const { eventTypes } = world.app.domain
  expect(eventTypes.get('test.plain')).toBe(plain)
  expect(eventTypes.get('test.nothing')).toBeUndefined()
  const types = eventTypes.all.map(({ type }) => type)
  expect(types).toEqual(types.toSorted())
})

it('concurrent first events of a subject are numbered without a gap', async () => {
  const subjectId = newId()
  await Promise.all(Array.from({ length: 20 }, (_, n) => tell(plain, { text: String(n) }, { subjectId })))
  const events = (await eventsOf(subjectId)) as { sequence: number; ordinal: bigint }[]
  expect(events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
  expect(events.toSorted((a, b) => (a.ordinal < b.ordinal ? -1 : 1))).toEqual(events)
})
