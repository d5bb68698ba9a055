import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ask, defineCommand, defineQuery, execute } from '../../src/platform/command.ts'
import { defineConcept } from '../../src/platform/concept.ts'
import { encodeId, newId, nilId } from '../../src/platform/id.ts'
import { codeOf, createTenant, createWorld, refusal, request, type Tenant, type World } from '../support/tenant.ts'
import { changeProbe, createProbe, probe, probes, removeProbe, traces } from './execute-support.ts'

const seen: unknown[] = []
const listed = defineCommand({
  name: 'listProbe',
  description: 'Takes lists of ids.',
  permission: 'manage:projects',
  ids: { 'projectIds.*': 'Project', 'items.*.projectId': 'Project' },
  targetType: null,
  input: z.object({ projectIds: z.array(z.string()).optional(), items: z.array(z.object({ projectId: z.string() })).optional() }),
  emits: [],
  async run(_work, input) {
    seen.push(input)
    return {}
  },
})

let world: World
let tenant: Tenant
let other: Tenant

beforeAll(async () => {
  world = await createWorld({}, [probes, defineConcept({ name: 'lists', commands: [listed] })])
  tenant = await createTenant(world.app)
  other = await createTenant(world.app)
})
beforeEach(() => {
  probe.before = probe.react = async () => {}
})
afterAll(() => world?.close())

const project = async (id: string) => (await world.app.db.prismaClient()).project.findUnique({ where: { id } })

describe('of several faults the first one in the order is answered', () => {
  /** In the order of `execute`. */
  const faults = ['forbidden', 'idempotency_key_reused', 'not_found', 'invalid_input', 'version_conflict', 'probe_busy'] as const
  type Fault = (typeof faults)[number]

  async function act(present: ReadonlySet<Fault>): Promise<string> {
    const id = await createProbe(world.app, present.has('not_found') ? other : tenant)
    const caller = tenant.key(present.has('forbidden') ? 'READ' : 'WRITE')
    const key = newId()
    if (present.has('idempotency_key_reused')) {
      const used = { id: await createProbe(world.app, tenant), name: 'first use', idempotencyKey: key }
      await execute(request(world.app, { ...caller, permissions: tenant.owner.permissions }), changeProbe, used)
    }
    return codeOf(
      execute(request(world.app, caller), changeProbe, {
        id,
        name: present.has('invalid_input') ? '' : 'named',
        busy: present.has('probe_busy'),
        ifVersion: present.has('version_conflict') ? 7 : 1,
        idempotencyKey: key,
      }),
    )
  }

  const subsets = Array.from({ length: 2 ** faults.length }, (_, bits) => faults.filter((_fault, n) => (bits >> n) & 1))
  it.each(subsets.map((subset) => [subset.join(' + ') || 'nothing wrong', subset] as const))('%s', async (_title, subset) => {
    expect(await act(new Set(subset))).toBe(subset[0] ?? 'done')
  })
})

describe('the target', () => {
  it.each([
    ['unknown', () => encodeId('Project', newId())],
    ['unknown, as a UUID', () => newId()],
    ["another type's", () => encodeId('Environment', newId())],
    ['malformed', () => 'proj_what'],
    ['empty', () => ''],
    ['absent', () => undefined],
    ['null', () => null],
    ['not a string', () => 5],
    ['a list', () => [newId()]],
  ])('is not found if its id is %s', async (_title, id) => {
    const foreign = await refusal(
      execute(request(world.app, tenant.owner), changeProbe, { id: await createProbe(world.app, other), name: 'named' }),
    )
    const answered = await refusal(execute(request(world.app, tenant.owner), changeProbe, { id: id(), name: 'named' }))
    expect(answered).toEqual(foreign)
    expect(answered).toMatchObject({ code: 'not_found', kind: 'not_found', field: 'id', details: undefined })
  })

  it('is found by a TypeID and by a plain UUID', async () => {
    const id = await createProbe(world.app, tenant)
    for (const text of [id, encodeId('Project', id), id.toUpperCase()]) {
      expect(await codeOf(execute(request(world.app, tenant.owner), changeProbe, { id: text, name: 'named' }))).toBe('done')
    }
  })

  it('is not found in another project by a key of one project', async () => {
    const [own, sibling] = [await createProbe(world.app, tenant), await createProbe(world.app, tenant)]
    const caller = tenant.key('WRITE', own)
    expect(await codeOf(execute(request(world.app, caller), changeProbe, { id: own, name: 'named' }))).toBe('done')
    expect(await codeOf(execute(request(world.app, caller), changeProbe, { id: sibling, name: 'named' }))).toBe('not_found')
  })

  it('has another version than expected: refused with the current version', async () => {
    const id = await createProbe(world.app, tenant)
    await execute(request(world.app, tenant.owner), changeProbe, { id, name: 'second', ifVersion: 1 })
    const conflict = await refusal(execute(request(world.app, tenant.owner), changeProbe, { id, name: 'third', ifVersion: 1 }))
    expect(conflict).toMatchObject({ code: 'version_conflict', kind: 'conflict', field: 'ifVersion', details: { currentVersion: 2 } })
    expect(await project(id)).toMatchObject({ name: 'second', version: 2 })
  })

  it('accepts one of two changes with the same expected version', async () => {
    const id = await createProbe(world.app, tenant)
    const both = ['left', 'right'].map((name) => codeOf(execute(request(world.app, tenant.owner), changeProbe, { id, name, ifVersion: 1 })))
    expect((await Promise.all(both)).toSorted()).toEqual(['done', 'version_conflict'])
    expect((await project(id))?.version).toBe(2)
  })
})

describe('input', () => {
  it('is refused with all problems in the details, the first one as the message', async () => {
    const id = await createProbe(world.app, tenant)
    const error = await refusal(execute(request(world.app, tenant.owner), changeProbe, { id, name: 7, busy: 'yes' }))
    expect(error).toMatchObject({ code: 'invalid_input', field: 'name' })
    expect(error.message).toMatch(/^name: /)
    expect(error.details).toMatchObject({
      issues: [
        { field: 'name', reason: 'type', constraint: 'type' },
        { field: 'busy', constraint: 'type' },
      ],
    })
  })

  it.each([
    ['name', { name: 'a\u0000b' }],
    ['list.1.key', { name: 'named', list: [{}, { key: 'a\u0000' }] }],
    ['object', { name: 'named', object: { 'a\u0000': 1 } }],
  ])('with a NUL character, which cannot be stored, is refused wherever it is: %s', async (field, input) => {
    const id = await createProbe(world.app, tenant)
    expect(await refusal(execute(request(world.app, tenant.owner), changeProbe, { id, ...input }))).toMatchObject({
      code: 'invalid_input',
      field,
    })
  })

  it('that is nested deeper than the stack is checked as well', async () => {
    const id = await createProbe(world.app, tenant)
    const deep = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`) as unknown
    expect(await codeOf(execute(request(world.app, tenant.owner), changeProbe, { id, name: 'named', deep }))).toBe('done')
  })

  it('that holds ids in a list has each of them decoded, and a broken item is the schema’s to refuse', async () => {
    seen.length = 0
    const id = newId()
    const send = (input: Record<string, unknown>) => codeOf(execute(request(world.app, tenant.owner), listed, input))
    expect(await send({ projectIds: [encodeId('Project', id), 'what', 5], items: [{ projectId: encodeId('Project', id) }, {}] })).toBe(
      'done',
    )
    expect(seen).toEqual([{ projectIds: [id, nilId, nilId], items: [{ projectId: id }, { projectId: nilId }] }])
    expect(await send({ items: [null] })).toBe('invalid_input')
    expect(await send({ items: ['text'] })).toBe('invalid_input')
    expect(await send({ items: 'text' })).toBe('invalid_input')
    expect(await send({ projectIds: { 0: id } })).toBe('invalid_input')
  })
})

describe('a change', () => {
  it('writes its event and its audit row with the actor, the action and the request', async () => {
    const own = await createTenant(world.app)
    const id = await createProbe(world.app, own)
    const caller = own.key('WRITE')
    const result = await execute(request(world.app, caller), changeProbe, { id, name: 'named' })
    expect(result).toMatchObject({ project: { id, name: 'named', version: 2 }, token: 'shown once', heard: 'named' })
    const { events, audits } = await traces(world.app, own)
    expect(events).toMatchObject([{ type: 'probe.changed', sequence: 1, data: { name: 'named' }, requestId: 'test', projectId: id }])
    expect(audits).toMatchObject([
      {
        action: 'changeProbe',
        actorType: 'api_key',
        actorId: caller.subject.id,
        actorName: 'WRITE',
        targetType: 'Project',
        targetId: id,
        requestId: 'test',
      },
    ])
  })

  it.each([
    ['the command', () => (probe.before = () => Promise.reject(new Error('broken')))],
    ['a reaction', () => (probe.react = () => Promise.reject(new Error('broken')))],
  ])('writes nothing if %s fails', async (_title, plant) => {
    const own = await createTenant(world.app)
    const id = await createProbe(world.app, own)
    const keysBefore = (await traces(world.app, own)).keys.length
    plant()
    const outcome = execute(request(world.app, own.owner), changeProbe, { id, name: 'named', idempotencyKey: 'k' })
    await expect(outcome).rejects.toThrow('broken')
    const { events, audits, keys } = await traces(world.app, own)
    expect({ events, keys: keys.length - keysBefore }).toEqual({ events: [], keys: 0 })
    expect(audits).toMatchObject([
      { action: 'changeProbe', outcome: 'FAILED', targetId: id, before: null, after: null, details: { code: 'internal' } },
    ])
    expect(await project(id)).toMatchObject({ name: 'probe', version: 1, description: null })
  })

  it('writes nothing if the transaction fails at commit', async () => {
    const own = await createTenant(world.app)
    const id = await createProbe(world.app, own)
    expect(await codeOf(execute(request(world.app, own.owner), changeProbe, { id, name: 'named', busy: true }))).toBe('probe_busy')
    expect(await traces(world.app, own)).toMatchObject({ events: [], audits: [] })
    expect((await project(id))?.description).toBeNull()
  })

  it('includes its reactions, or is rolled back', async () => {
    const id = await createProbe(world.app, tenant)
    await execute(request(world.app, tenant.owner), changeProbe, { id, name: 'named' })
    expect(await project(id)).toMatchObject({ name: 'named', description: 'heard named' })
  })

  it('wakes listeners after the commit, and not after a rollback', async () => {
    const id = await createProbe(world.app, tenant)
    let woken = 0
    const off = world.app.wake.on('outbox', () => woken++)
    let wokenInside = -1
    probe.react = async () => {
      wokenInside = woken
    }
    expect(await codeOf(execute(request(world.app, tenant.owner), changeProbe, { id, name: 'named', busy: true }))).toBe('probe_busy')
    expect(woken).toBe(0)
    await execute(request(world.app, tenant.owner), changeProbe, { id, name: 'named' })
    await world.app.wake.next('a turn', 1)
    expect({ wokenInside, woken }).toEqual({ wokenInside: 0, woken: 1 })
    off()
  })
})

it('a repeated delete without a key is not found', async () => {
  const id = await createProbe(world.app, tenant)
  expect(await codeOf(execute(request(world.app, tenant.owner), removeProbe, { id }))).toBe('done')
  expect(await codeOf(execute(request(world.app, tenant.owner), removeProbe, { id }))).toBe('not_found')
})

it('a command or query that no concept declares is not run', async () => {
  const id = await createProbe(world.app, tenant)
  const twin = defineCommand({ ...changeProbe })
  await expect(execute(request(world.app, tenant.owner), twin, { id, name: 'named' })).rejects.toThrow(
    'no concept declares the command changeProbe',
  )
  const query = defineQuery({ name: 'stray', description: '', permission: null, ids: {}, input: z.object({}), run: async () => ({}) })
  await expect(ask(request(world.app, tenant.owner), query, {})).rejects.toThrow('no concept declares the query stray')
})
