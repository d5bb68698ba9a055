/**
 * A row is read with the columns that its fields declare: each field asked for alone, by whatever way the row is reached, answers as it
 * does beside all others. A field that reads more than it declares fails here.
 */
import {
  createSourceEventStream,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLObjectType,
  getNamedType,
  getOperationAST,
  isInterfaceType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  parse,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGraphqlContext } from '../../src/graphql/builder/context.ts'
import { createExecute } from '../../src/graphql/execute/index.ts'
import { run, sql } from '../../src/platform/db/index.ts'
import { decodeId, type IdType } from '../../src/platform/id.ts'
import { administrator, createTenant, operation, request, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, type Estate, ofAccount } from './estate.ts'
import { schema } from './support.ts'

let world: World
let tenant: Tenant
let former: Estate
let estate: Estate

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  tenant.owner = administrator(tenant.owner)
  former = await createEstate(world.app, tenant)
  estate = await createEstate(world.app, tenant)
  // What the estates have not: something live, a failure, a rollback, and what belongs to one project.
  const uuid = (of: Estate, type: IdType) => decodeId(type, of[type])
  const { db } = world.app
  await run(
    db,
    sql`update deployment set status = 'LIVE', live_at = app_now(), release_digest = 'sha256:0' where id = ${uuid(former, 'Deployment')}::uuid`,
  )
  await run(
    db,
    sql`update deployment set restores_id = ${uuid(former, 'Deployment')}::uuid, failure_phase = 'BUILD', failure_code = 'BUILD_FAILED',
          failure_message = 'told' where id = ${uuid(estate, 'Deployment')}::uuid`,
  )
  await run(db, sql`update api_key set project_id = ${uuid(estate, 'Project')}::uuid where id = ${uuid(estate, 'ApiKey')}::uuid`)
  await run(
    db,
    sql`update webhook_endpoint set project_id = ${uuid(estate, 'Project')}::uuid where id = ${uuid(estate, 'WebhookEndpoint')}::uuid`,
  )
})
afterAll(() => world?.close())

type Field = GraphQLField<unknown, unknown>
const fieldsOf = (type: GraphQLNamedType): Field[] => (isObjectType(type) || isInterfaceType(type) ? Object.values(type.getFields()) : [])
const declares = (field: Field) => field.extensions.columns !== undefined
/** Types whose rows are read with the columns that an operation asks for. */
const rowTypes = Object.values(schema.getTypeMap()).filter((type) => isObjectType(type) && fieldsOf(type).some(declares))

/** The row type that a field leads to, and how a selection of it is written below the field. */
function target(field: Field): { type: GraphQLObjectType; around: (selection: string) => string } | null {
  const named = getNamedType(field.type)
  const type = named.name.endsWith('Connection') ? schema.getType(named.name.replace(/Connection$/, ''))! : named
  if (!rowTypes.includes(type)) return null
  const isConnection = type !== named
  return {
    type: type as GraphQLObjectType,
    around: (selection) => (isConnection ? `{ nodes { ${selection} } edges { cursor } pageInfo { endCursor } }` : `{ ${selection} }`),
  }
}

/** What of a field is asked for: all leaves, one level down. */
function selectionOf(field: Field): string {
  const type = getNamedType(field.type)
  if (isLeafType(type)) return field.name
  if (type.name.endsWith('Connection')) return `${field.name} { totalCount nodes { id } }`
  const leaves = fieldsOf(type).filter(
    (inner) => isLeafType(getNamedType(inner.type)) && !inner.args.some(isRequiredArgument) && !ofAccount(inner),
  )
  return `${field.name} { __typename ${leaves.map(({ name }) => name).join(' ')} }`
}

const asked = (type: GraphQLObjectType) => fieldsOf(type).filter((field) => !field.args.some(isRequiredArgument))

type Ask = (selection: string) => Promise<unknown[]>

/** Rows as an answer has them, whatever leads to them. */
function rowsAt(data: unknown): Record<string, unknown>[] {
  if (Array.isArray(data)) return data.flatMap(rowsAt)
  if (data === null || data === undefined) return []
  const { nodes } = data as { nodes?: unknown }
  return nodes ? rowsAt(nodes) : [data as Record<string, unknown>]
}

/** Compares each field alone with the field among all. */
async function compare(type: GraphQLObjectType, ask: Ask, fields = asked(type)): Promise<void> {
  const all = (await ask(['__typename', ...fields.map(selectionOf)].join(' '))) as Record<string, unknown>[]
  expect({ type: type.name, rows: all.length > 0 }).toEqual({ type: type.name, rows: true })
  for (const [name, selection] of [['__typename', '__typename'], ...fields.map((field) => [field.name, selectionOf(field)])]) {
    const alone = (await ask(selection!)) as Record<string, unknown>[]
    expect({ field: name, values: alone.map((row) => row[name!]) }).toEqual({ field: name, values: all.map((row) => row[name!]) })
  }
}

const answer = async (source: string, variables: Record<string, unknown>) => {
  const { data, errors } = await operation(world.app, tenant.owner, source, variables)
  expect({ source, errors }).toEqual({ source, errors: undefined })
  return data!
}

it('knows the types whose rows are read by columns', () => {
  expect(rowTypes.map(({ name }) => name)).toEqual(expect.arrayContaining(['Deployment', 'DeploymentStep', 'Instance', 'WebhookMessage']))
  expect(rowTypes.length).toBeGreaterThanOrEqual(17)
})

const nodes = rowTypes.filter((type) => (type as GraphQLObjectType).getInterfaces().length > 0) as GraphQLObjectType[]

describe('a field alone is as among all', () => {
  it.each(nodes.map((type) => [type.name, type] as const))('node(id) of a %s', async (name, type) => {
    const id = estate[name as IdType]
    await compare(type, async (selection) =>
      rowsAt((await answer(`query ($id: ID!) { node(id: $id) { ... on ${name} { ${selection} } } }`, { id })).node),
    )
  })

  it.each(nodes.map((type) => [type.name, type] as const))('nodes(ids) of several types, of which a %s', async (name, type) => {
    const ids = [estate[name as IdType], estate.Project, former.WebService, former.Deployment]
    const source = (selection: string) =>
      `query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ...Of } } fragment Of on ${name} { ${selection} }`
    await compare(type, async (selection) => rowsAt((await answer(source(selection), { ids })).nodes.slice(0, 1)))
  })

  const roots = fieldsOf(schema.getQueryType()!).flatMap((field) => {
    const found = target(field)
    return found && field.args.every((arg) => !isRequiredArgument(arg) || arg.name === 'id') ? [[field.name, field, found] as const] : []
  })
  it.each(roots)('the root field %s', async (name, field, { type, around }) => {
    const byId = field.args.some((arg) => arg.name === 'id')
    const source = (selection: string) =>
      byId ? `query ($id: ID!) { ${name}(id: $id) ${around(selection)} }` : `{ ${name} ${around(selection)} }`
    await compare(type, async (selection) =>
      rowsAt((await answer(source(selection), byId ? { id: estate[type.name as IdType] } : {}))[name]),
    )
  })

  const below = nodes.flatMap((parent) =>
    asked(parent).flatMap((field) => {
      const found = target(field)
      return found ? [[`${parent.name}.${field.name}`, parent, field, found] as const] : []
    }),
  )
  it.each(below)('%s', async (title, parent, field, { type, around }) => {
    const id = (title === 'WebService.liveDeployment' ? former : estate)[parent.name as IdType]
    const source = (selection: string) =>
      `query ($id: ID!) { node(id: $id) { ... on ${parent.name} { ${field.name} ${around(selection)} } } }`
    const fields = title === 'Member.user' ? asked(type).filter((inner) => !ofAccount(inner)) : undefined
    await compare(type, async (selection) => rowsAt((await answer(source(selection), { id })).node[field.name]), fields)
  })

  it.each([
    ['operationUpdated', 'Operation', () => `id: "${estate.Operation}"`],
    ['deploymentUpdated', 'Deployment', () => `deploymentId: "${estate.Deployment}"`],
    ['webhookAttempts', 'WebhookAttempt', () => `after: "${former.WebhookAttempt}"`],
  ] as const)('the first event of %s', async (name, typeName, args) => {
    await compare(schema.getType(typeName) as GraphQLObjectType, async (selection) =>
      rowsAt((await firstEvent(`subscription { ${name}(${args()}) { ${selection} } }`))[name]),
    )
  })
})

async function firstEvent(source: string): Promise<Record<string, unknown>> {
  const ended = new AbortController()
  const document = parse(source)
  const context = createGraphqlContext(request(world.app, tenant.owner), ended.signal)
  const events = await createSourceEventStream({ schema, document, contextValue: context })
  if (!(Symbol.asyncIterator in events)) throw new Error(JSON.stringify(events.errors))
  const { value } = await (events as AsyncIterable<unknown>)[Symbol.asyncIterator]().next()
  const { data, errors } = await createExecute(schema)({ document, operation: getOperationAST(document)!, context, rootValue: value })
  ended.abort()
  expect({ source, errors }).toEqual({ source, errors: undefined })
  return JSON.parse(JSON.stringify(data)) as Record<string, unknown>
}

describe('what is skipped is not read', () => {
  const source =
    'query ($id: ID!, $deep: Boolean!) { project(id: $id) { name slug @include(if: $deep) ... @skip(if: $deep) { description } } }'
  it.each([true, false])('with a variable that is %s', async (deep) => {
    const { project } = await answer(source, { id: estate.Project, deep })
    expect(Object.keys(project)).toEqual(['name', deep ? 'slug' : 'description'])
  })
})
