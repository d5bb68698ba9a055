/** What audit entries contain, and which refusals are recorded. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApiKey, listApiKeys } from '../../src/domain/access/api-key/index.ts'
import { createProject, deleteProject, updateProject } from '../../src/domain/apps/project/index.ts'
import type { Caller } from '../../src/platform/access.ts'
import { countRefusals, endRefusalWindows } from '../../src/platform/audit-refusal.ts'
import { ask, type Command, type CommandInput, execute, type Query, type Target } from '../../src/platform/command.ts'
import { rows, sql } from '../../src/platform/db/index.ts'
import { onBehalfOf } from '../../src/platform/forwarded.ts'
import { newId } from '../../src/platform/id.ts'
import type { App } from '../../src/platform/work.ts'
import { codeOf, createTenant, createWorld, request, type Tenant, type World } from '../support/tenant.ts'
import { changeProbe, createProbe, probe, probes } from './execute-support.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createWorld({}, [probes])
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())

type Entry = {
  action: string
  outcome: string
  targetType: string | null
  targetId: string | null
  targetName: string | null
  before: unknown
  after: unknown
  details: Record<string, unknown>
}

const entriesOf = ({ organizationId }: Tenant): Promise<Entry[]> =>
  rows(world.app.db, sql`select * from audit_entry where organization_id = ${organizationId}::uuid order by ordinal`)
const last = async (of = tenant) => (await entriesOf(of)).at(-1)!

const run = <Input, Row extends Target | null, Result extends object>(
  command: Command<Input, Row, Result>,
  input: CommandInput,
  caller: Caller = tenant.owner,
) => execute(request(world.app, caller), command, input)

describe('an entry', () => {
  it('shows what a creation set, what an update changed, and what a deletion removed, with the name at that time', async () => {
    const { project } = await run(createProject, { name: 'Shop', description: 'Sells.' })
    const { id, slug } = project
    const about = { targetType: 'Project', targetId: id }
    expect(await last()).toMatchObject({ ...about, targetName: 'Shop', before: null, after: { name: 'Shop', slug, description: 'Sells.' } })

    await run(updateProject, { id, name: 'Store' })
    expect(await last()).toMatchObject({ ...about, targetName: 'Shop', before: { name: 'Shop' }, after: { name: 'Store' } })
    await run(updateProject, { id, description: null, idempotencyKey: newId() })
    expect(await last()).toMatchObject({ ...about, targetName: 'Store', before: { description: 'Sells.' }, after: { description: null } })
    await run(updateProject, { id, name: 'Store' })
    expect(await last()).toMatchObject({ ...about, action: 'updateProject', before: null, after: null })

    await run(deleteProject, { id })
    expect(await last()).toMatchObject({ ...about, targetName: 'Store', before: { name: 'Store', slug }, after: null })
  })

  it('names the client, the way in and the person behind a key', async () => {
    const origin = { address: '192.0.2.7', userAgent: `curl/${'8'.repeat(300)}`, door: 'platform' }
    const caller = tenant.key('ADMIN')
    await onBehalfOf(origin, () => run(createProject, { name: 'From afar' }, caller))
    expect(await last()).toMatchObject({
      actorType: 'api_key',
      actorId: caller.subject.id,
      userId: tenant.owner.userId,
      ipAddress: '192.0.2.7',
      userAgent: origin.userAgent.slice(0, 256),
      door: 'platform',
      requestId: 'test',
    })
    await run(createProject, { name: 'From here' })
    expect(await last()).toMatchObject({ ipAddress: null, userAgent: null, door: null })
  })

  it('replaces a long value by its length', async () => {
    const id = await createProbe(world.app, tenant)
    await run(changeProbe, { id, name: 'x'.repeat(5_000) })
    expect(await last()).toMatchObject({ before: { name: 'probe' }, after: { name: '[5000 characters]' } })
    await run(changeProbe, { id, name: 'short' })
    expect((await last()).targetName).toHaveLength(256)
  })
})

describe('a refusal', () => {
  const reader = (own: Tenant) => own.key('READ')

  it('for want of a permission is recorded, with the name of an object that the caller may see', async () => {
    const [own, other] = [await createTenant(world.app), await createTenant(world.app)]
    const [mine, foreign] = [await createProbe(world.app, own), await createProbe(world.app, other)]
    expect(await codeOf(run(changeProbe, { id: mine, name: 'named' }, reader(own)))).toBe('forbidden')
    expect(await last(own)).toMatchObject({
      action: 'changeProbe',
      outcome: 'DENIED',
      actorType: 'api_key',
      targetType: 'Project',
      targetId: mine,
      targetName: 'probe',
      before: null,
      after: null,
      details: { code: 'forbidden', permission: 'manage:projects' },
    })
    expect(await codeOf(run(changeProbe, { id: foreign, name: 'named' }, reader(own)))).toBe('forbidden')
    expect(await last(own)).toMatchObject({ outcome: 'DENIED', targetId: foreign, targetName: null })
  })

  it('of a query is recorded', async () => {
    const own = await createTenant(world.app)
    const query = listApiKeys as unknown as Query<object, unknown>
    expect(await codeOf(ask(request(world.app, { ...own.owner, permissions: new Set() }), query, {}))).toBe('forbidden')
    expect(await last(own)).toMatchObject({ action: 'apiKeys', outcome: 'DENIED', details: { permission: 'view:api_keys' } })
  })

  it('by the command itself is recorded after the rollback', async () => {
    const own = await createTenant(world.app)
    const noMember: Caller = { ...own.owner, userId: null }
    expect(await codeOf(run(createApiKey, { name: 'x', scope: 'READ' }, noMember))).toBe('forbidden')
    expect(await last(own)).toMatchObject({ action: 'createApiKey', outcome: 'DENIED', details: { code: 'forbidden' } })
  })

  it.each([
    ['an error in the input', { name: '' }, 'invalid_input'],
    ['an unknown id', { id: newId(), name: 'named' }, 'not_found'],
    ['another version', { name: 'named', ifVersion: 7 }, 'version_conflict'],
    ['a conflict', { name: 'named', busy: true }, 'probe_busy'],
  ])('because of %s is not recorded', async (_title, input, code) => {
    const own = await createTenant(world.app)
    const id = await createProbe(world.app, own)
    expect(await codeOf(run(changeProbe, { id, ...input }, own.owner))).toBe(code)
    expect(await entriesOf(own)).toEqual([])
  })

  it('because of a fault is recorded as failed', async () => {
    const own = await createTenant(world.app)
    const id = await createProbe(world.app, own)
    probe.before = () => Promise.reject(new Error('the secret word is swordfish'))
    await expect(run(changeProbe, { id, name: 'named' }, own.owner)).rejects.toThrow('swordfish')
    probe.before = async () => {}
    expect(await entriesOf(own)).toMatchObject([{ outcome: 'FAILED', targetName: 'probe', details: { code: 'internal' } }])
    const { rows: texts } = await world.app.db.pool.query('select a::text from audit_entry a')
    expect(JSON.stringify(texts)).not.toContain('swordfish')
  })

  const repeated = async (app: App, own: Tenant, times: number, ids: readonly string[]) => {
    const caller = reader(own)
    for (let n = 0; n < times; n++) {
      const input = { id: ids[n % ids.length]!, name: 'named' }
      expect(await codeOf(execute(request(app, caller), changeProbe, input))).toBe('forbidden')
    }
  }
  const afterTheMinute = () => endRefusalWindows(world.app, performance.now() + 60_000)

  it('that is repeated takes one entry and, at the end of the minute, another one with the number of repetitions', async () => {
    const own = await createTenant(world.app)
    const id = await createProbe(world.app, own)
    await repeated(world.app, own, 40, [id])
    await countRefusals.run(world.app, new AbortController().signal)
    expect(await entriesOf(own)).toMatchObject([{ outcome: 'DENIED', targetId: id, details: { code: 'forbidden' } }])
    await afterTheMinute()
    expect(await entriesOf(own)).toMatchObject([{}, { outcome: 'DENIED', action: 'changeProbe', details: { repeated: 39 } }])
    await repeated(world.app, own, 1, [id])
    expect(await entriesOf(own)).toHaveLength(3)
  })

  it('with ever new targets takes at most 100 entries in a minute, and one for all others', async () => {
    const own = await createTenant(world.app)
    await repeated(world.app, own, 130, Array.from({ length: 130 }, newId))
    expect(await entriesOf(own)).toHaveLength(100)
    await afterTheMinute()
    expect(await entriesOf(own)).toHaveLength(101)
    expect(await last(own)).toMatchObject({ action: 'refusals', targetId: null, details: { repeated: 30 } })
  })

  it('is answered as such even if it cannot be recorded', async () => {
    const own = await createTenant(world.app)
    const id = await createProbe(world.app, own)
    const { pool } = world.app.db
    await pool.query(`create function refuse_audit() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$`)
    await pool.query('create trigger refuse_audit before insert on audit_entry for each row execute function refuse_audit()')
    try {
      expect(await codeOf(run(changeProbe, { id, name: 'named' }, reader(own)))).toBe('forbidden')
    } finally {
      await pool.query('drop trigger refuse_audit on audit_entry; drop function refuse_audit()')
    }
    expect(world.app.logged.filter(({ msg }) => msg === 'a refusal could not be audited')).toHaveLength(1)
  })
})
