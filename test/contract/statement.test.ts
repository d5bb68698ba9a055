/**
 * What lists cost: the number of statements depends on the query and not on the rows, the rows read on the page and not on the list,
 * the bytes on the fields.
 */
import {
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLObjectType,
  getNamedType,
  isInterfaceType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  isUnionType,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Caller } from '../../src/platform/access.ts'
import { rows, run, sql, type Tx } from '../../src/platform/db/index.ts'
import { decodeId, newId } from '../../src/platform/id.ts'
import type { App } from '../../src/platform/work.ts'
import { createTenant, operation, rowBytesOf, statementsOf, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, type Estate } from './estate.ts'
import { schema } from './support.ts'

let world: World
let tenant: Tenant
let estate: Estate

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  for (let n = 0; n < 4; n++) estate = await createEstate(world.app, tenant)
})
afterAll(() => world?.close())

async function statements(source: string, caller: Caller = tenant.owner): Promise<number> {
  const texts = await statementsOf(world.app, async () => {
    const { errors } = await operation(world.app, caller, source)
    expect({ source, errors }).toEqual({ source, errors: undefined })
  })
  return texts.length
}

const query = schema.getQueryType()!
const nodeOf = (field: GraphQLField<unknown, unknown>) =>
  schema.getType(getNamedType(field.type).name.replace(/Connection$/, '')) as GraphQLObjectType
const givesConnection = (field: GraphQLField<unknown, unknown>) => getNamedType(field.type).name.endsWith('Connection')
const lists = Object.values(query.getFields()).filter(givesConnection)
const shapes = {
  nodes: '{ nodes { id } }',
  edges: '{ edges { cursor node { id } } pageInfo { hasNextPage endCursor } }',
  totalCount: '{ totalCount }',
  both: '{ totalCount nodes { id } edges { cursor } }',
}
const one = { nodes: 1, edges: 1, totalCount: 1, both: 2 }
const plus = (n: number) => Object.fromEntries(Object.entries(one).map(([shape, count]) => [shape, count + n]))

async function costs(around: (selection: string) => string): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const [shape, selection] of Object.entries(shapes)) found[shape] = await statements(around(selection))
  return found
}

it.each(lists.map((list) => [list.name]))(
  '%s costs one statement for its page and one for its count, each only if selected',
  async (name) => {
    expect(await costs((selection) => `{ ${name}(first: 3) ${selection} }`)).toEqual(one)
  },
)

const nested = lists.flatMap((list) =>
  Object.values(nodeOf(list).getFields())
    .filter(givesConnection)
    .map((field) => [`${nodeOf(list).name}.${field.name}`, list.name, field.name] as const),
)

it.each(nested)('%s costs one more statement for all its parents together', async (_title, list, field) => {
  expect(await costs((selection) => `{ ${list}(first: 50) { nodes { ${field}(first: 3) ${selection} } } }`)).toEqual(plus(1))
  const aliased = `{ ${list}(first: 50) { nodes { one: ${field}(first: 1) { nodes { id } } two: ${field}(first: 2) { nodes { id } } } } }`
  expect(await statements(aliased)).toBe(3)
})

it('three levels below a list cost one statement each, and one more for each count', async () => {
  const deep = (count: string) =>
    `{ projects { ${count} nodes { environments(first: 3) { ${count} nodes { webServices(first: 3) { ${count} nodes { deployments(first: 3) { ${count} nodes { id } } } } } } } } }`
  expect([await statements(deep('')), await statements(deep('totalCount'))]).toEqual([4, 8])
})

describe('a list fetches the columns that are asked for', () => {
  /** A row of an id and the number of its parent, as the protocol has it. */
  const idRowBytes = 60

  async function fetched(source: string): Promise<{ bytes: number; ids: number }> {
    let ids = 0
    const bytes = await rowBytesOf(world.app, async () => {
      const { data, errors } = await operation(world.app, tenant.owner, source)
      expect({ source, errors }).toEqual({ source, errors: undefined })
      ids = JSON.stringify(data).match(/"id"/g)?.length ?? 0
    })
    expect({ source, any: ids > 0 }).toEqual({ source, any: true })
    return { bytes, ids }
  }

  beforeAll(async () => {
    await run(world.app.db.prisma, sql`update webhook_attempt set response_body = repeat('x', 20000)`)
    await run(world.app.db.prisma, sql`update deployment set commit_message = repeat('x', 20000)`)
    await run(world.app.db.prisma, sql`update project set description = repeat('x', 2000)`)
  })

  it.each(lists.map((list) => [list.name]))('%s', async (name) => {
    const { bytes, ids } = await fetched(`{ ${name}(first: 50) { nodes { id } } }`)
    expect(bytes).toBeLessThanOrEqual((ids + 1) * idRowBytes)
  })

  /** Attempts are cut where the deliveries of their message were read, which are fetched with it. */
  const plain = nested.filter(([title]) => title !== 'WebhookMessage.attempts')
  it.each(plain)('%s', async (_title, list, field) => {
    const { bytes, ids } = await fetched(`{ ${list}(first: 50) { nodes { id ${field}(first: 3) { nodes { id } } } } }`)
    // One row more for each list, to know whether another page follows.
    expect(bytes).toBeLessThanOrEqual((2 * ids + 1) * idRowBytes)
  })

  it('and those of what a row leads to', async () => {
    const { bytes, ids } = await fetched('{ webServices(first: 50) { nodes { id project { id } activeDeployment { id } } } }')
    expect(bytes).toBeLessThanOrEqual((ids + 1) * 2 * idRowBytes)
  })

  it('a wide column is fetched when it is asked for', async () => {
    const { bytes, ids } = await fetched('{ webhookAttempts(first: 50) { nodes { id responseBody } } }')
    expect(bytes).toBeGreaterThanOrEqual(ids * 20_000)
  })
})

describe('a field of a list costs the same for one row and for many', () => {
  const composite = (type: GraphQLNamedType) => isObjectType(type) || isInterfaceType(type) || isUnionType(type)
  /** Each reads a log of its own, and no list selects them. */
  const drawn = (field: GraphQLField<unknown, unknown>) => getNamedType(field.type).name === 'LogBatch'
  /** All leaf fields of a type, two levels deep. */
  const leaves = (type: GraphQLNamedType, depth = 0): string => {
    if (isLeafType(type)) return ''
    if (type.name.endsWith('Connection')) return '{ totalCount nodes { id } }'
    const fields = isObjectType(type) ? Object.values(type.getFields()) : []
    const chosen = fields.filter(
      (field) =>
        !field.args.some(isRequiredArgument) &&
        (!composite(getNamedType(field.type)) || depth < 1) &&
        !givesConnection(field) &&
        !drawn(field),
    )
    return `{ ${['__typename', ...chosen.map((field) => `${field.name} ${leaves(getNamedType(field.type), depth + 1)}`)].join(' ')} }`
  }
  const fields = lists.flatMap((list) =>
    Object.values(nodeOf(list).getFields())
      .filter((field) => !field.args.some(isRequiredArgument))
      .filter((field) => !drawn(field))
      .map((field) => [`${nodeOf(list).name}.${field.name}`, list.name, `${field.name} ${leaves(getNamedType(field.type))}`] as const),
  )

  it.each(fields)('%s', async (_title, list, selection) => {
    const [few, many] = [
      await statements(`{ ${list}(first: 1) { nodes { ${selection} } } }`),
      await statements(`{ ${list}(first: 50) { nodes { ${selection} } } }`),
    ]
    expect(many).toBe(few)
  })

  it('every list has more than one row', async () => {
    for (const list of lists.filter(({ name }) => name !== 'servers')) {
      const { data } = await operation(world.app, tenant.owner, `{ ${list.name} { totalCount } }`)
      expect({ list: list.name, many: data![list.name].totalCount > 2 }).toEqual({ list: list.name, many: true })
    }
  })
})

describe('a page below a parent with 5,000 children reads only that page', () => {
  const count = 5_000
  const uuid = (type: keyof Estate) => decodeId(type, estate[type])

  beforeAll(async () => {
    const { prisma } = world.app.db
    // Ids in order of creation, like UUIDv7.
    const prefix = newId().slice(0, 24)
    const id = sql`(${prefix} || lpad(to_hex(n), 12, '0'))::uuid`
    await run(
      prisma,
      sql`insert into environment (id, organization_id, project_id, name, slug, type)
          select ${id}, ${uuid('Organization')}::uuid, ${uuid('Project')}::uuid, 'e', 'e-' || n, 'STAGING' from generate_series(1, ${count}) n`,
    )
    await run(
      prisma,
      sql`insert into web_service (id, organization_id, project_id, environment_id, name, slug, kind, branch, min_instances, max_instances, queue_policy,
            build_timeout_ms, health_timeout_ms, shutdown_grace_ms, desired_state)
          select ${id}, s.organization_id, s.project_id, s.environment_id, 's', 's-' || n, s.kind, s.branch, 1, 1, s.queue_policy, 1000, 1000, 1000, 'STOPPED'
          from web_service s, generate_series(1, ${count}) n where s.id = ${uuid('WebService')}::uuid`,
    )
    await run(
      prisma,
      sql`insert into deployment (id, organization_id, web_service_id, number, kind, trigger, status, created_by_type, finished_at)
          select ${id}, d.organization_id, d.web_service_id, 100 + n, d.kind, d.trigger, 'CANCELLED', 'system', app_now()
          from deployment d, generate_series(1, ${count}) n where d.id = ${uuid('Deployment')}::uuid`,
    )
    await run(
      prisma,
      sql`insert into webhook_attempt (id, organization_id, message_id, endpoint_id, number, trigger, url, started_at, duration_ms)
          select ${id}, a.organization_id, a.message_id, a.endpoint_id, 100 + n, a.trigger, a.url, a.started_at, 1
          from webhook_attempt a, generate_series(1, ${count}) n where a.id = ${uuid('WebhookAttempt')}::uuid`,
    )
    await world.app.db.pool.query('analyze')
  })

  /** Rows of a table that an operation read, as PostgreSQL counts them. */
  async function rowsRead(table: string, source: string): Promise<number> {
    return world.app.db.transaction(async (tx) => {
      const before = await read(tx, table)
      const inside: App = { ...world.app, db: { ...world.app.db, prisma: tx as App['db']['prisma'] } }
      const { data, errors } = await operation(inside, tenant.owner, source)
      expect(errors).toBeUndefined()
      expect(JSON.stringify(data).match(/"id"/g)?.length).toBeGreaterThanOrEqual(3)
      return (await read(tx, table)) - before
    })
  }
  const read = async (tx: Tx, table: string) =>
    Number(
      (
        await rows<{ n: bigint }>(
          tx,
          sql`select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as n from pg_stat_xact_user_tables where relname = ${table}`,
        )
      )[0]!.n,
    )

  const parents = 4
  it.each([
    ['Project.environments', 'environment', '{ projects { nodes { environments(first: 3) { nodes { id } } } } }'],
    ['Project.environments from the end', 'environment', '{ projects { nodes { environments(last: 3) { nodes { id } } } } }'],
    ['Project.webServices', 'web_service', '{ projects { nodes { webServices(first: 3) { nodes { id } } } } }'],
    ['Environment.webServices', 'web_service', '{ environments(first: 8) { nodes { webServices(first: 3) { nodes { id } } } } }'],
    ['WebService.deployments', 'deployment', '{ webServices(first: 4) { nodes { deployments(first: 3) { nodes { id } } } } }'],
    [
      'projects, then all levels',
      'deployment',
      '{ projects { nodes { environments(first: 1) { nodes { webServices(first: 1) { nodes { deployments(first: 3) { nodes { id } } } } } } } } }',
    ],
  ])('%s', async (_title, table, source) => {
    // For each parent, a page and one more row, which shows whether there is a next page.
    expect(await rowsRead(table, source)).toBeLessThanOrEqual(parents * (3 + 1) + 10)
  })

  it.each([
    ['environments', 'environment'],
    ['webServices', 'web_service'],
    ['deployments', 'deployment'],
    ['webhookAttempts', 'webhook_attempt'],
  ])('the list %s itself, from either end', async (name, table) => {
    for (const page of ['first: 3', 'last: 3'])
      expect(await rowsRead(table, `{ ${name}(${page}) { nodes { id } } }`)).toBeLessThanOrEqual(3 + 1)
  })

  it('notices every row: a count reads them all', async () => {
    const source = '{ projects { nodes { id environments(first: 3) { totalCount nodes { id } } } } }'
    expect(await rowsRead('environment', source)).toBeGreaterThan(count)
  })
})
