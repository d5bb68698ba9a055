/** Operations on the product's own schema: the executor answers as graphql-js does. */

import fc from 'fast-check'
import {
  execute as executeByGraphqlJs,
  type GraphQLArgument,
  type GraphQLField,
  getIntrospectionQuery,
  getNamedType,
  getOperationAST,
  isEnumType,
  isRequiredArgument,
  parse,
  validate,
} from 'graphql'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createGraphqlContext } from '../../src/graphql/builder/context.ts'
import { createExecute } from '../../src/graphql/execute/index.ts'
import type { Caller } from '../../src/platform/access.ts'
import { expectSame } from '../graphql/execute-support.ts'
import { createRandom, generateOperation, type Random } from '../graphql/operation-generator.ts'
import { createTenant, request, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, type Estate, variablesFor } from './estate.ts'
import { schema } from './support.ts'

let world: World
let tenant: Tenant
let estate: Estate
beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  for (let n = 0; n < 3; n++) estate = await createEstate(world.app, tenant)
})
afterAll(() => world?.close())

const execute = createExecute(schema)

async function both(source: string, variables: Record<string, unknown>, caller: Caller) {
  const document = parse(source)
  const ours = await execute({
    document,
    operation: getOperationAST(document)!,
    variables,
    context: createGraphqlContext(request(world.app, caller)),
  })
  const contextValue = createGraphqlContext(request(world.app, caller))
  return { ours, theirs: await executeByGraphqlJs({ schema, document, variableValues: variables, contextValue }) }
}

/** A value for each argument: what is required by the estate, the rest now and then. */
function argumentOf(random: Random, arg: GraphQLArgument, field: GraphQLField<unknown, unknown>): string | undefined {
  if (arg.name === 'first' || arg.name === 'last') return random(3) > 0 ? String(random(4)) : undefined
  if (isRequiredArgument(arg) || random(4) === 0) {
    const named = getNamedType(arg.type)
    if (isEnumType(named)) return named.getValues()[random(named.getValues().length)]!.name
    const value = variablesFor(field, estate, 'query', isRequiredArgument(arg) ? undefined : { path: [arg.name], value: estate.WebService })
    return JSON.stringify(named.name === 'Boolean' ? true : value[arg.name])
  }
  return undefined
}

it('a generated query has the same data in the same order, and the same errors', async () => {
  let valid = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const random = createRandom(seed)
      const { source, variables } = generateOperation({
        schema,
        kind: 'query',
        random,
        depth: 5,
        argument: (arg, field) => argumentOf(random, arg, field),
      })
      const document = parse(source)
      // Random arguments are not all of their type.
      if (validate(schema, document).length > 0) return
      const { ours, theirs } = await both(source, variables, [tenant.owner, tenant.key('READ')][seed % 2]!)
      expectSame(ours, theirs)
      valid++
    }),
    { numRuns: 300 },
  )
  expect(valid).toBeGreaterThan(150)
}, 60_000)

it('introspection has the same answer', async () => {
  const { ours, theirs } = await both(
    getIntrospectionQuery({ inputValueDeprecation: true, schemaDescription: true, oneOf: true, specifiedByUrl: true }),
    {},
    tenant.owner,
  )
  expect(ours.errors).toBeUndefined()
  expect(JSON.stringify(ours)).toBe(JSON.stringify(theirs))
})
