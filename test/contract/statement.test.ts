/**
 * What lists cost: the number of statements depends on the query and not on the rows, the bytes on the fields. rows-read.test.ts counts the
 * rows.
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
import { run, sql } from '../../src/platform/db/index.ts'
import { administrator, createTenant, operation, rowBytesOf, statementsOf, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, ofAccount } from './estate.ts'
import { schema } from './support.ts'

let world: World
let tenant: Tenant

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  tenant.owner = administrator(tenant.owner)
  // Other users.
  for (let n = 0; n < 2; n++) await createTenant(world.app)
  for (let n = 0; n < 4; n++) await createEstate(world.app, tenant)
  // So that each member's field of projects has something to read.
  await run(world.app.db, sql`update member set projects_limited = true`)
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

/** Statements that a list needs before its page: the audit log looks for entries that have no position yet. */
const before: Record<string, number> = { auditLog: 1, adminAuditLog: 1 }

it.each(lists.map((list) => [list.name]))(
  '%s costs one statement for its page and one for its count, each only if selected',
  async (name) => {
    expect(await costs((selection) => `{ ${name}(first: 3) ${selection} }`)).toEqual(plus(before[name] ?? 0))
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
    await run(world.app.db, sql`update webhook_attempt set response_body = repeat('x', 20000)`)
    await run(world.app.db, sql`update deployment set commit_message = repeat('x', 20000)`)
    await run(world.app.db, sql`update project set description = repeat('x', 2000)`)
  })

  /** Jobs are of several tables, and read with all that they show. */
  const oneTable = lists.filter(({ name }) => name !== 'adminJobs')
  it.each(oneTable.map((list) => [list.name]))('%s', async (name) => {
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
        !drawn(field) &&
        !ofAccount(field),
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
