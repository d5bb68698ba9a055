import { deserialize } from 'node:v8'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { execute } from '../../src/platform/command.ts'
import { row, sql } from '../../src/platform/db/index.ts'
import { encodeId } from '../../src/platform/id.ts'
import { expireIdempotencyKeys } from '../../src/platform/idempotency.ts'
import { shiftClock } from '../support/database.ts'
import { codeOf, createTenant, createWorld, request, type Tenant, type World } from '../support/tenant.ts'
import { changeProbe, createProbe, probe, probes, removeProbe, traces } from './execute-support.ts'

let world: World
let tenant: Tenant
let id: string

beforeAll(async () => {
  world = await createWorld({}, [probes])
})
beforeEach(async () => {
  probe.before = probe.react = async () => {}
  tenant = await createTenant(world.app)
  id = await createProbe(world.app, tenant)
})
afterAll(() => world?.close())

const change = (input: Record<string, unknown>, caller = tenant.owner, app = world.app) =>
  execute(request(app, caller), changeProbe, { id, name: 'named', idempotencyKey: 'key', ...input })

describe('the same key', () => {
  it('and the same input returns the same result without repeating the effect', async () => {
    const first = await change({})
    const second = await change({})
    expect(second).toEqual({ ...first, token: null })
    const { events, audits } = await traces(world.app, tenant)
    expect({ events: events.length, audits: audits.length, version: first.project.version }).toEqual({ events: 1, audits: 1, version: 2 })
  })

  it('repeats dates, big numbers and bytes as they were', async () => {
    await change({})
    const { project, count } = await change({})
    expect(project.createdAt).toBeInstanceOf(Date)
    expect(count).toBe(10n)
  })

  it('does not store fields that are returned once', async () => {
    await change({})
    const { keys } = await traces(world.app, tenant)
    const stored = keys.map((entry) => deserialize(entry.answer) as { token: unknown })
    expect(stored.at(-1)?.token).toBeNull()
    expect(Buffer.concat(keys.map((entry) => entry.answer)).toString('latin1')).not.toContain('shown once')
  })

  it('ignores the order of fields, and treats undefined like omitted', async () => {
    await execute(request(world.app, tenant.owner), changeProbe, { id, name: 'named', busy: undefined, idempotencyKey: 'key' })
    expect(await codeOf(execute(request(world.app, tenant.owner), changeProbe, { idempotencyKey: 'key', name: 'named', id }))).toBe('done')
    expect((await traces(world.app, tenant)).events).toHaveLength(1)
  })

  it.each([
    ['another name', () => ({ name: 'other' })],
    ['a version', () => ({ ifVersion: 1 })],
    ['another notation of the id', () => ({ id: encodeId('Project', id) })],
    ['an input that is not valid', () => ({ name: '' })],
  ])('with %s is refused', async (_title, input) => {
    await change({})
    expect(await codeOf(change(input()))).toBe('idempotency_key_reused')
  })

  it('is independent for each caller, command and organization', async () => {
    await change({})
    expect(await codeOf(change({ name: 'other' }, tenant.key('WRITE')))).toBe('done')
    const stranger = await createTenant(world.app)
    const theirs = await createProbe(world.app, stranger)
    expect(await codeOf(change({ id: theirs, name: 'other' }, stranger.owner))).toBe('done')
    expect(await codeOf(execute(request(world.app, tenant.owner), removeProbe, { id, idempotencyKey: 'key' }))).toBe('done')
  })

  it('repeats a deletion, whose target no longer exists', async () => {
    const remove = () => execute(request(world.app, tenant.owner), removeProbe, { id, idempotencyKey: 'key' })
    expect([await remove(), await remove()]).toEqual([{ deletedId: id }, { deletedId: id }])
    expect(await codeOf(execute(request(world.app, tenant.owner), removeProbe, { id, idempotencyKey: 'later' }))).toBe('not_found')
  })

  it('can be used again after an error', async () => {
    expect(await codeOf(change({ busy: true }))).toBe('probe_busy')
    expect(await codeOf(change({ name: '' }))).toBe('invalid_input')
    expect(await codeOf(change({ name: 'other' }))).toBe('done')
  })

  it('does not help a caller who lost the permission', async () => {
    const caller = tenant.key('WRITE')
    await change({}, caller)
    expect(await codeOf(change({}, { ...caller, permissions: tenant.key('READ').permissions }))).toBe('forbidden')
  })
})

describe('two concurrent requests', () => {
  it('run once: the other one is refused without waiting, or returns the result', async () => {
    const runsBefore = probe.runs
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => codeOf(change({}))))
    expect(outcomes.filter((code) => code !== 'done' && code !== 'idempotency_in_progress')).toEqual([])
    expect(outcomes).toContain('done')
    expect(probe.runs - runsBefore).toBe(1)
  })

  it('in two processes run once: the second is refused while the first runs, and returns its result afterwards', async () => {
    const second = await world.process()
    const [inside, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    probe.before = () => {
      inside.resolve()
      return held.promise
    }
    const first = change({})
    await inside.promise
    expect(await codeOf(change({}, tenant.owner, second))).toBe('idempotency_in_progress')
    expect(await codeOf(change({ name: 'other' }, tenant.owner, second))).toBe('idempotency_in_progress')
    held.resolve()
    const answer = await first
    expect(await change({}, tenant.owner, second)).toEqual({ ...answer, token: null })
  })
})

describe('a key', () => {
  it('that is empty is ignored', async () => {
    await change({ idempotencyKey: '' })
    await change({ idempotencyKey: null })
    expect((await traces(world.app, tenant)).events).toHaveLength(2)
  })

  it.each([
    ['longer than 255 characters', 'k'.repeat(256)],
    ['with a NUL', 'a\u0000b'],
  ])('%s is refused', async (_title, idempotencyKey) => {
    expect(await codeOf(change({ idempotencyKey }))).toBe('invalid_input')
  })

  it.each(['k'.repeat(255), 'ключ 🗝', "'; drop table idempotency; --", 'a\nb'])('can be any other text: %j', async (idempotencyKey) => {
    await change({ idempotencyKey })
    await change({ idempotencyKey })
    expect((await traces(world.app, tenant)).events).toHaveLength(1)
  })
})

it('a key is over after 24 hours: it may be used anew, and its row goes', async () => {
  const own = await createWorld({}, [probes])
  try {
    const acme = await createTenant(own.app)
    const target = await createProbe(own.app, acme)
    const use = (name: string) => execute(request(own.app, acme.owner), changeProbe, { id: target, name, idempotencyKey: 'key' })
    const kept = () => row<{ n: number }>(own.app.db, sql`select count(*)::int as n from idempotency`)
    await use('first')
    await shiftClock(own.url, 24 * 3_600_000 - 60_000)
    await expireIdempotencyKeys.run(own.app, new AbortController().signal)
    expect(await codeOf(use('second'))).toBe('idempotency_key_reused')
    await shiftClock(own.url, 24 * 3_600_000 + 1_000)
    expect(await codeOf(use('second'))).toBe('done')
    expect(await codeOf(use('first'))).toBe('idempotency_key_reused')
    expect((await kept())?.n).toBe(1)
    await shiftClock(own.url, 48 * 3_600_000 + 60_000)
    await expireIdempotencyKeys.run(own.app, new AbortController().signal)
    expect((await kept())?.n).toBe(0)
  } finally {
    await own.close()
  }
})
