/** The audit log: what it lists, that its verification finds every forgery, and that the removal of old entries is none. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyAuditLog } from '../../../src/domain/access/audit-log/index.ts'
import { removeOldEntries } from '../../../src/domain/access/audit-log/jobs.ts'
import { verifyChain } from '../../../src/domain/access/audit-log/verify.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { writeAudit } from '../../../src/platform/audit.ts'
import { type AuditLink, auditHash } from '../../../src/platform/audit-chain.ts'
import { execute } from '../../../src/platform/command.ts'
import { raw, rows, run, sql, type Tx } from '../../../src/platform/db/index.ts'
import { onBehalfOf } from '../../../src/platform/forwarded.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { sequence, sequenceAll } from '../../../src/platform/sequencer.ts'
import { type App, transact } from '../../../src/platform/work.ts'
import { shiftClock } from '../../support/database.ts'
import { codeOf, createTenant, createWorld, operation, refusal, request, type Tenant, type World } from '../../support/tenant.ts'

let world: World

beforeAll(async () => {
  world = await createWorld({ AUDIT_RETENTION_MS: String(24 * 3_600_000) })
})
afterAll(() => world?.close())

const origin = { address: '192.0.2.7', userAgent: 'curl/8', door: 'graphql' }

const write = (app: App, tenant: Tenant, action = 'probe') =>
  onBehalfOf(origin, () =>
    transact(app, tenant.owner, { requestId: 'test' }, async (work) => {
      const target = { type: 'Project', id: newId(), name: 'shop' } as const
      writeAudit(work, { action, target, details: { ä: 1.5, list: [1, null, 'x'] } })
    }),
  )

/** An organization with entries, which were chained in several runs. */
async function chained(count: number): Promise<Tenant> {
  const tenant = await createTenant(world.app)
  for (let n = 0; n < count; n++) {
    await write(world.app, tenant)
    if (n % 3 === 0) await sequenceAll(world.app)
  }
  await sequenceAll(world.app)
  return tenant
}

const verify = ({ organizationId }: Tenant, from = 1n, to: bigint | null = null) =>
  verifyChain(world.app.db, organizationId, { from, to }, () => false)

describe('the format of the chain', () => {
  const entry: AuditLink = {
    id: '01890a5d-ac96-774b-bcce-b302099a8057',
    organizationId: '01890a5d-ac96-774b-bcce-b302099a8058',
    actorType: 'user',
    actorId: '01890a5d-ac96-774b-bcce-b302099a8059',
    actorName: 'Ada',
    userId: null,
    action: 'updateProject',
    outcome: 'SUCCEEDED',
    targetType: 'Project',
    targetId: '01890a5d-ac96-774b-bcce-b302099a805a',
    targetName: null,
    before: null,
    after: null,
    details: '{"a":1}',
    ipAddress: null,
    userAgent: null,
    door: null,
    requestId: 'r-1',
    createdAt: new Date('2026-01-02T03:04:05.678Z'),
  }

  it('never changes', () => {
    const first = auditHash(new Uint8Array(), 1n, entry)
    expect(first.toString('hex')).toBe('3a579c2956c4115ccc2a482779f831c71568709641b9b37d165bc7c94dffc927')
    const more = { ...entry, outcome: 'DENIED', userId: entry.actorId, targetName: 'shop', before: '{"a":1}', ipAddress: '192.0.2.7' }
    expect(auditHash(first, 2n, more).toString('hex')).toBe('4cde63e77ffdf523cdae498fc31575b4a24e4836e10778004afbdaf417b433ab')
  })
})

describe('auditLog', () => {
  const fields = `nodes { id position timestamp action outcome targetType targetId targetName actorType actorId actorName ipAddress userAgent door
    requestId before after details hash previousHash createdAt updatedAt }`
  const list = async (caller: Caller, args: string, selection = fields) => {
    const { data, errors } = await operation(world.app, caller, `{ auditLog${args && `(${args})`} { ${selection} totalCount } }`)
    expect(errors).toBeUndefined()
    return data!.auditLog
  }

  it('lists every action that was answered before, newest first, although nothing else gives entries their positions', async () => {
    const tenant = await createTenant(world.app)
    const made = await operation(world.app, tenant.owner, 'mutation { createProject(input: {name: "Shop"}) { project { id } } }')
    const id = made.data!.createProject.project.id
    await operation(world.app, tenant.owner, 'mutation ($id: ID!) { updateProject(input: {id: $id, name: "Store"}) { project { id } } }', {
      id,
    })
    const { nodes, totalCount } = await list(tenant.owner, 'first: 10')
    expect(totalCount).toBe(2)
    expect(nodes).toMatchObject([
      {
        position: '2',
        action: 'updateProject',
        outcome: 'SUCCEEDED',
        targetType: 'Project',
        targetId: id,
        targetName: 'Shop',
        actorType: 'user',
        actorId: encodeId('User', tenant.owner.userId!),
        before: { name: 'Shop' },
        after: { name: 'Store' },
        requestId: 'test',
        previousHash: nodes[1].hash,
      },
      { position: '1', action: 'createProject', before: null, after: { name: 'Shop' }, previousHash: null },
    ])
    expect(nodes[0].hash).toMatch(/^[0-9a-f]{64}$/)
    expect(nodes[0]).toMatchObject({ timestamp: nodes[0].createdAt, updatedAt: nodes[0].createdAt })
  })

  it('shows ids of other objects as the API does', async () => {
    const tenant = await createTenant(world.app)
    const made = await operation(world.app, tenant.owner, 'mutation { createProject(input: {name: "Shop"}) { project { id } } }')
    const { id } = made.data!.createProject.project
    await operation(
      world.app,
      tenant.owner,
      'mutation ($id: ID!) { createEnvironment(input: {projectId: $id, name: "s", type: STAGING}) { environment { id } } }',
      { id },
    )
    expect((await list(tenant.owner, 'first: 1')).nodes[0]).toMatchObject({
      targetType: 'Environment',
      after: { projectId: id, type: 'STAGING' },
    })
  })

  it('is filtered by action, target, actor, outcome and time, also together', async () => {
    const tenant = await createTenant(world.app)
    const key = tenant.key('READ')
    await write(world.app, tenant, 'early')
    await write(world.app, { ...tenant, owner: key }, 'byKey')
    await codeOf(execute(request(world.app, key), world.app.domain.commands.get('createProject')!, {}))
    const all = (await list(tenant.owner, '')).nodes
    const actions = async (args: string) => (await list(tenant.owner, args)).nodes.map(({ action }: { action: string }) => action)
    expect(await actions('')).toEqual(['createProject', 'byKey', 'early'])
    expect(await actions('action: "early"')).toEqual(['early'])
    expect(await actions('targetType: "Project"')).toEqual(['byKey', 'early'])
    expect(await actions(`targetId: "${all[1].targetId}"`)).toEqual(['byKey'])
    expect(await actions(`actorId: "${encodeId('ApiKey', key.apiKeyId!)}"`)).toEqual(['createProject', 'byKey'])
    expect(await actions(`actorId: "${key.apiKeyId}", targetType: "Project"`)).toEqual(['byKey'])
    expect(await actions('outcome: DENIED')).toEqual(['createProject'])
    expect(await actions('outcome: FAILED')).toEqual([])
    expect(await actions('actorId: "nobody"')).toEqual([])
    expect(await actions(`since: "${all[0].timestamp}"`)).toContain('createProject')
    expect(await actions(`until: "${all[2].timestamp}"`)).toEqual([])
    expect(await actions(`since: "${new Date(Date.now() + 60_000).toISOString()}"`)).toEqual([])
    expect(await actions(`since: "${new Date(Date.now() - 60_000).toISOString()}", until: "2999-01-01T00:00:00Z"`)).toHaveLength(3)
  })

  it('pages in both directions', async () => {
    const tenant = await chained(5)
    const first = await list(tenant.owner, 'first: 2', 'nodes { position } pageInfo { endCursor hasNextPage }')
    expect(first.nodes).toEqual([{ position: '5' }, { position: '4' }])
    const next = await list(tenant.owner, `first: 9, after: "${first.pageInfo.endCursor}"`, 'nodes { position }')
    expect(next.nodes.map(({ position }: { position: string }) => position)).toEqual(['3', '2', '1'])
  })

  it('is refused without the permission, and to a key that is limited to a project', async () => {
    const tenant = await chained(1)
    const code = async (caller: Caller, source: string) => (await operation(world.app, caller, source)).errors?.map(({ code }) => code)
    const limited = tenant.key('ADMIN', newId())
    const nobody: Caller = { ...tenant.owner, permissions: new Set() }
    for (const source of [
      '{ auditLog { nodes { id } } }',
      '{ auditLog { totalCount } }',
      'mutation { verifyAuditLog(input: {}) { valid } }',
    ]) {
      expect(await code(limited, source)).toEqual(['forbidden'])
      expect(await code(nobody, source)).toEqual(['forbidden'])
    }
    const [entry] = await rows<{ id: string }>(
      world.app.db,
      sql`select id from audit_entry where organization_id = ${tenant.organizationId}::uuid`,
    )
    const found = await operation(world.app, limited, `{ node(id: "${encodeId('AuditEntry', entry!.id)}") { id } }`)
    expect(found.data!.node).toBeNull()
  })
})

describe('verifyAuditLog', () => {
  const call = (caller: Caller, input: object = {}) => execute(request(world.app, caller), verifyAuditLog, { ...input })

  it('finds an untouched log valid, and is recorded itself', async () => {
    const tenant = await chained(4)
    expect(await call(tenant.owner)).toEqual({ valid: true, checked: 4, brokenAt: null, from: 1n, to: 4n })
    await sequenceAll(world.app)
    expect(await call(tenant.owner, { from: '2', to: '5' })).toMatchObject({ valid: true, checked: 4, from: 2n, to: 5n })
    expect(await call(tenant.owner, { from: '900' })).toMatchObject({ valid: true, checked: 0, from: null, to: null })
    expect(await verify(await createTenant(world.app))).toMatchObject({ valid: true, checked: 0 })
  })

  it.each([
    [{ from: 'x' }, 'from'],
    [{ to: '-1' }, 'to'],
    [{ from: '3', to: '2' }, 'to'],
  ])('refuses %j', async (input, field) => {
    expect(await refusal(call((await createTenant(world.app)).owner, input))).toMatchObject({ code: 'invalid_input', field })
  })

  it('finds the logs valid that several processes wrote at once', async () => {
    const second = await world.process()
    const tenants = [await createTenant(world.app), await createTenant(world.app)]
    let writing = true
    const sequencers = [world.app, second].map(async (app) => {
      while (writing) await sequence(app)
    })
    await Promise.all(Array.from({ length: 80 }, (_, n) => write(n % 2 ? world.app : second, tenants[n % 4 < 2 ? 0 : 1]!)))
    writing = false
    await Promise.all(sequencers)
    await sequenceAll(world.app)
    for (const tenant of tenants) expect(await verify(tenant)).toEqual({ valid: true, checked: 40, brokenAt: null, from: 1n, to: 40n })
  })

  it('reads more entries than a batch has', async () => {
    const tenant = await chained(2)
    await transact(world.app, tenant.owner, {}, async (work) => {
      for (let n = 0; n < 1_100; n++) writeAudit(work, { action: 'many' })
    })
    await sequenceAll(world.app)
    expect(await verify(tenant)).toMatchObject({ valid: true, checked: 1_102 })
    const late = verifyChain(world.app.db, tenant.organizationId, { from: 1n, to: null }, isOverAfter(2))
    expect(await refusal(late)).toMatchObject({ code: 'timeout', details: { intactTo: '1000', continueFrom: '1001' } })
    expect(await verify(tenant, 1_001n)).toMatchObject({ valid: true, checked: 102 })
  })

  const isOverAfter = (times: number) => () => times-- <= 0

  it.each([`action = 'other'`, `position = 1000`])('refuses the edit %s by a statement, and every deletion', async (edit) => {
    const { organizationId } = await chained(2)
    const change = `update audit_entry set ${edit} where organization_id = '${organizationId}' and position = 1`
    await expect(world.app.db.pool.query(change)).rejects.toThrow('append-only')
    const removal = `delete from audit_entry where organization_id = '${organizationId}'`
    await expect(world.app.db.pool.query(removal)).rejects.toThrow('append-only')
  })

  /** What only the owner of the database can do, in a transaction that is rolled back. Returns what the verification finds. */
  async function forged(tenant: Tenant, forge: (tx: Tx) => Promise<unknown>) {
    const found = Promise.withResolvers<Awaited<ReturnType<typeof verify>>>()
    const undo = new Error('undo')
    const outcome = world.app.db.transaction(async (tx) => {
      await run(tx, sql`set local session_replication_role = 'replica'`)
      await forge(tx)
      found.resolve(await verifyChain(tx, tenant.organizationId, { from: 1n, to: null }, () => false))
      throw undo
    })
    await expect(outcome).rejects.toBe(undo)
    return found.promise
  }

  const at = (tenant: Tenant, position: number) => sql`organization_id = ${tenant.organizationId}::uuid and position = ${position}`

  it('finds an entry that was added at the end, a removed log, and a chain that was cut with its end', async () => {
    const tenant = await chained(5)
    const added = await forged(tenant, (tx) =>
      run(
        tx,
        sql`insert into audit_entry (id, organization_id, position, actor_type, actor_name, action, details, hash)
            values (${newId()}::uuid, ${tenant.organizationId}::uuid, 6, 'user', 'Eve', 'nothing', '{}', sha256('x'))`,
      ),
    )
    expect(added).toMatchObject({ valid: false, brokenAt: 6n })
    const emptied = await forged(tenant, (tx) =>
      run(tx, sql`delete from audit_entry where organization_id = ${tenant.organizationId}::uuid`),
    )
    expect(emptied).toMatchObject({ valid: false, brokenAt: 1n, checked: 0 })
    const replaced = await forged(tenant, (tx) =>
      run(tx, sql`update audit_chain set hash = sha256('x') where organization_id = ${tenant.organizationId}::uuid`),
    )
    expect(replaced).toMatchObject({ valid: false, brokenAt: 5n })
  })

  const length = 12
  const position = fc.integer({ min: 1, max: length })
  const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((value) => !value.includes('\0'))
  const json = fc.jsonValue().map((value) => JSON.stringify(value))
  /** New values for each column, as SQL of a parameter. */
  const edits: Record<string, [fc.Arbitrary<string>, string]> = {
    id: [fc.uuid(), 'uuid'],
    organization_id: [fc.uuid(), 'uuid'],
    position: [fc.integer({ min: length + 1, max: 1_000_000 }).map(String), 'bigint'],
    actor_type: [text, 'text'],
    actor_id: [fc.uuid(), 'uuid'],
    actor_name: [text, 'text'],
    user_id: [fc.uuid(), 'uuid'],
    action: [text, 'text'],
    outcome: [fc.constantFrom('DENIED', 'FAILED'), 'audit_outcome'],
    target_type: [text, 'text'],
    target_id: [fc.uuid(), 'uuid'],
    target_name: [text, 'text'],
    before: [json, 'json'],
    after: [json, 'json'],
    details: [json.map((value) => ` ${value}`), 'json'],
    ip_address: [text, 'text'],
    user_agent: [text, 'text'],
    door: [text, 'text'],
    request_id: [text, 'text'],
    created_at: [
      fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true }).map((date) => date.toISOString()),
      'timestamptz',
    ],
    hash: [fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `\\x${hex}`), 'bytea'],
  }
  const cleared = [
    'actor_id',
    'user_id',
    'target_type',
    'target_id',
    'target_name',
    'ip_address',
    'user_agent',
    'door',
    'request_id',
    'hash',
    'position',
  ]

  type Forgery = { first: number; forge: (tx: Tx, tenant: Tenant) => Promise<unknown> }
  const setTo = (where: number, column: string, value: string | null, type: string): Forgery => ({
    first: where,
    forge: (tx, tenant) => run(tx, sql`update audit_entry set ${raw(column)} = ${value}::text::${raw(type)} where ${at(tenant, where)}`),
  })
  const edit = fc
    .constantFrom(...Object.entries(edits))
    .chain(([column, [values, type]]) => fc.tuple(position, values).map(([where, value]) => setTo(where, column, value, type)))
  const clearing = fc.tuple(position, fc.constantFrom(...cleared)).map(([where, column]) => setTo(where, column, null, edits[column]![1]))
  const deletion = fc.uniqueArray(position, { minLength: 1, maxLength: length }).map(
    (positions): Forgery => ({
      first: Math.min(...positions),
      forge: (tx, tenant) =>
        run(
          tx,
          sql`delete from audit_entry where organization_id = ${tenant.organizationId}::uuid and position = any(${positions}::bigint[])`,
        ),
    }),
  )
  /** Two entries change places, with their hashes or without. */
  const swap = fc.tuple(fc.uniqueArray(position, { minLength: 2, maxLength: 2 }), fc.boolean()).map(
    ([[a, b], withHashes]): Forgery => ({
      first: Math.min(a!, b!),
      async forge(tx, tenant) {
        const hashes = await rows<{ position: bigint; hash: Uint8Array }>(
          tx,
          sql`select position, hash from audit_entry where organization_id = ${tenant.organizationId}::uuid and position in (${a}, ${b})`,
        )
        const hashAt = (where: number) => hashes.find((found) => Number(found.position) === where)!.hash
        await run(tx, sql`update audit_entry set position = -1 where ${at(tenant, a!)}`)
        await run(
          tx,
          sql`update audit_entry set position = ${a} ${withHashes ? raw('') : sql`, hash = ${hashAt(a!)}`} where ${at(tenant, b!)}`,
        )
        await run(
          tx,
          sql`update audit_entry set position = ${b} ${withHashes ? raw('') : sql`, hash = ${hashAt(b!)}`} where ${at(tenant, -1)}`,
        )
      },
    }),
  )

  it('finds 1,000 random edits, deletions and swaps, at the first entry that was touched', async () => {
    const tenant = await chained(length)
    await fc.assert(
      fc.asyncProperty(fc.oneof({ weight: 2, arbitrary: edit }, clearing, deletion, swap), async ({ first, forge }) => {
        expect(await forged(tenant, (tx) => forge(tx, tenant))).toMatchObject({ valid: false, brokenAt: BigInt(first) })
      }),
      { numRuns: 1_000 },
    )
    expect(await verify(tenant)).toMatchObject({ valid: true, checked: length })
  }, 120_000)
})

describe('old entries', () => {
  const dayMs = 24 * 3_600_000
  const removeOld = async (app = world.app) => {
    while ((await removeOldEntries.run(app, new AbortController().signal)) === 'again');
  }

  it('are removed, those after them stay verifiable, and a removal of more is found', async () => {
    const tenant = await chained(600)
    const quiet = await chained(3)
    await shiftClock(world.url, 2 * dayMs)
    try {
      for (let n = 0; n < 4; n++) await write(world.app, tenant)
      await sequenceAll(world.app)
      await Promise.all([removeOld(), removeOld(await world.process())])
    } finally {
      await shiftClock(world.url, 0)
    }
    expect(await verify(tenant)).toEqual({ valid: true, checked: 4, brokenAt: null, from: 601n, to: 604n })
    expect(await verify(quiet)).toMatchObject({ valid: true, checked: 0 })
    const { data } = await operation(world.app, tenant.owner, '{ auditLog { totalCount nodes { position previousHash } } }')
    expect(data!.auditLog).toMatchObject({
      totalCount: 4,
      nodes: [{}, {}, {}, { position: '601', previousHash: expect.stringMatching(/^\w{64}$/) }],
    })
    await write(world.app, quiet)
    await sequenceAll(world.app)
    expect(await verify(quiet)).toMatchObject({ valid: true, checked: 1, from: 4n })
    const more = sql`delete from audit_entry where organization_id = ${tenant.organizationId}::uuid and position = 601`
    await expect(run(world.app.db, more)).rejects.toThrow('append-only')
  })

  it('are kept if they are not intact, and that is logged', async () => {
    const tenant = await chained(6)
    const client = await world.app.db.pool.connect()
    await client.query(`set session_replication_role = 'replica'`)
    await client.query(`update audit_entry set action = 'forged' where organization_id = $1 and position = 4`, [tenant.organizationId])
    await client.query(`set session_replication_role = 'origin'`)
    client.release()
    await shiftClock(world.url, 2 * dayMs)
    try {
      await removeOld()
    } finally {
      await shiftClock(world.url, 0)
    }
    expect(await verify(tenant)).toMatchObject({ valid: false, checked: 0, brokenAt: 4n })
    const told = world.app.logged.filter(({ msg }) => msg === 'the audit log is not intact, so old entries are kept')
    expect(told).toMatchObject([{ organizationId: tenant.organizationId, position: '4' }, { position: '4' }])
  })
})
