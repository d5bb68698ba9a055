/** Page sizes out of range are refused by the list itself, whichever of its fields are selected. */
import { type GraphQLObjectType, getNamedType } from 'graphql'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTenant, operation, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, type Estate } from './estate.ts'
import { schema } from './support.ts'

let world: World
let tenant: Tenant
let estate: Estate

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  estate = await createEstate(world.app, tenant)
})
afterAll(() => world?.close())

const listsOf = (type: GraphQLObjectType) =>
  Object.values(type.getFields())
    .filter((field) => getNamedType(field.type).name.endsWith('Connection'))
    .map(({ name }) => name)
const parents = ['Project', 'Environment', 'WebService', 'WebhookMessage'] as const
const nested = parents.flatMap((parent) => listsOf(schema.getType(parent) as GraphQLObjectType).map((list) => [parent, list] as const))

const wrong = ['first: 0', 'first: 101', 'first: -1', 'last: 0', 'last: 101', 'first: 1, last: 500', 'first: 1, last: 1']
const selections = ['{ totalCount }', '{ nodes { id } }', '{ __typename }']
const cases = wrong.flatMap((args) => selections.map((selection) => `(${args}) ${selection}`))
const fieldOf = (list: string) => (/last: (?!1\))/.test(list) ? 'last' : 'first')

it.each(listsOf(schema.getQueryType()!))('%s refuses a page size out of range at its own path', async (name) => {
  for (const list of cases) {
    const { errors } = await operation(world.app, tenant.owner, `{ ${name} ${list} }`)
    expect({ list, errors }).toMatchObject({ list, errors: [{ code: 'invalid_input', field: fieldOf(list), path: [name] }] })
  }
})

it.each(nested)('%s.%s refuses a page size out of range at its own path', async (parent, name) => {
  for (const list of cases) {
    const source = `query ($id: ID!) { node(id: $id) { ... on ${parent} { ${name} ${list} } } }`
    const { errors } = await operation(world.app, tenant.owner, source, { id: estate[parent] })
    expect({ list, errors }).toMatchObject({ list, errors: [{ code: 'invalid_input', field: fieldOf(list), path: ['node', name] }] })
  }
})
