/**
 * Every mutation, query field, subscription and REST row, as every system role, every kind and scope of key, custom roles without the permission, and
 * callers that are limited to a project. Generated from the schema, the declarations and the route tables, so that new ones are tried too.
 */
import type { IncomingMessage } from 'node:http'
import { createSourceEventStream, type GraphQLField, parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGraphqlContext } from '../../src/graphql/builder/context.ts'
import { type Caller, type Permission, permissions } from '../../src/platform/access.ts'
import { ask, execute } from '../../src/platform/command.ts'
import { DomainError } from '../../src/platform/errors.ts'
import { decodeId, encodeId, type IdType, newId } from '../../src/platform/id.ts'
import { bridgeDialect } from '../../src/rest/bridge/index.ts'
import { type Route, type Source, sourceOf } from '../../src/rest/core/route.ts'
import { ocoreDialect } from '../../src/rest/ocore/index.ts'
import { oecDialect } from '../../src/rest/oec/index.ts'
import { platformDialect } from '../../src/rest/platform/index.ts'
import { codeOf, createTenant, operation, request, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, documentFor, type Estate, variablesFor } from './estate.ts'
import { keySubjects, kindSubjects, limited, roleSubjects, type Subject, without } from './matrix.ts'
import { commands, idTypes, queries, schema } from './support.ts'

let world: World
let tenant: Tenant
let estate: Estate
/** Ids of no object. */
const unknown = {} as Estate
/** A project beside that of the estate. */
let aside: string

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  estate = await createEstate(world.app, tenant)
  for (const type of idTypes) unknown[type] = encodeId(type, newId())
  const made = await operation(world.app, tenant.owner, 'mutation { createProject(input: {name: "Aside"}) { project { id } } }')
  aside = decodeId('Project', made.data!.createProject.project.id as string)
})
afterAll(() => world?.close())

type Field = GraphQLField<unknown, unknown>
type Kind = 'query' | 'mutation' | 'subscription'
type Answer = { code: string; data: unknown }

/** The code that a root field, or a list at the root, fails with, or `done`. Errors below it are those of what it leads to. */
async function send(kind: Kind, field: Field, ids: Estate, caller: Caller): Promise<Answer> {
  const variables = variablesFor(field, ids, kind)
  const document = documentFor(kind, field, variables)
  if (kind === 'subscription') return { code: await codeOf(first(document, variables, caller)), data: null }
  const { data, errors = [] } = await operation(world.app, caller, document, variables)
  const depth = kind === 'query' ? 2 : 1
  return { code: errors.find(({ path = [] }) => path.length <= depth)?.code ?? 'done', data }
}

/** What a subscription does when its client leaves at once. */
async function first(source: string, variableValues: Record<string, unknown>, caller: Caller): Promise<void> {
  const client = new AbortController()
  const contextValue = createGraphqlContext(request(world.app, caller), client.signal)
  const stream = await createSourceEventStream({ schema, document: parse(source), variableValues, contextValue })
  if (!(Symbol.asyncIterator in stream)) throw stream.errors?.[0]?.originalError ?? new Error('no stream')
  const iterator = stream[Symbol.asyncIterator]()
  const next = iterator.next()
  client.abort()
  await next.catch((error: unknown) => {
    if (error instanceof DomainError) throw error
  })
  await iterator.return?.()
}

const outcome = (code: string) => (code === 'forbidden' ? 'forbidden' : 'allowed')

const everybody = [...roleSubjects, ...keySubjects, ...kindSubjects]

/** They describe the caller or the installation, and nothing of the organization. */
const ofEverybody = ['currentUser', 'currentApiKey', 'plans']

/** What each subject is answered, and what it should be. */
async function tried({ name, permission }: { name: string; permission: Permission | null }, act: (caller: Caller) => Promise<string>) {
  const subjects = [...everybody, ...(permission === null ? [] : without(permission))]
  const answered: [string, string][] = []
  for (const subject of subjects) answered.push([subject.title, outcome(await act(subject.caller(tenant)))])
  // Commands that need no permission are on one's own account, which API keys don't touch.
  const expected = ({ allows, isPerson }: Subject) => (permission === null ? isPerson || ofEverybody.includes(name) : allows(permission))
  return { answered, expected: subjects.map((subject) => [subject.title, expected(subject) ? 'allowed' : 'forbidden']) }
}

const fieldsOf = (kind: Kind): Field[] =>
  Object.values(
    { query: schema.getQueryType(), mutation: schema.getMutationType(), subscription: schema.getSubscriptionType() }[kind]!.getFields(),
  )

/** Root fields that show nothing of the organization by themselves: what they lead to has its own permission. */
const open = ['viewer', 'node', 'nodes', 'permissions', 'webhookEventTypes']

const subscriptions: Record<string, Permission> = {
  deploymentLogs: 'view:deployments',
  deploymentUpdated: 'view:deployments',
  events: 'view:webhooks',
  operationUpdated: 'view:organization',
  resourceUpdated: 'view:databases',
  webServiceLogs: 'view:deployments',
  webhookAttempts: 'view:webhooks',
}

it.each(everybody.map((subject) => [subject.title, subject] as const))('%s has the permissions that it should', (_title, subject) => {
  const { permissions: has } = subject.caller(tenant)
  expect(permissions.filter((name) => has.has(name))).toEqual(permissions.filter((name) => subject.allows(name)))
})

describe('what no root field offers, with empty input', () => {
  const offered = (['query', 'mutation'] as const).flatMap((kind) => fieldsOf(kind).map(({ name }) => name))
  const others = [...commands.values(), ...queries.values()].filter(({ name }) => !offered.includes(name))

  it.each(others.map((declared) => [declared.name, declared] as const))('%s', async (_name, declared) => {
    const act = (caller: Caller) => {
      const asked = request(world.app, caller)
      return codeOf('emits' in declared ? execute(asked, declared, {}) : ask(asked, declared, {}))
    }
    const { answered, expected } = await tried(declared, act)
    expect(answered).toEqual(expected)
  })
})

describe('with ids of no object, only those with the permission learn that', () => {
  it.each(fieldsOf('mutation').map((field) => [field.name, field] as const))('mutation %s', async (name, field) => {
    const act = async (caller: Caller) => (await send('mutation', field, unknown, caller)).code
    const { answered, expected } = await tried(commands.get(name)!, act)
    expect(answered).toEqual(expected)
  })

  it.each(
    fieldsOf('query')
      .filter(({ name }) => !open.includes(name))
      .map((field) => [field.name, field] as const),
  )('query %s', async (name, field) => {
    const act = async (caller: Caller) => (await send('query', field, unknown, caller)).code
    const { answered, expected } = await tried(queries.get(name)!, act)
    expect(answered).toEqual(expected)
  })

  it.each(fieldsOf('subscription').map((field) => [field.name, field] as const))('subscription %s', async (name, field) => {
    const act = async (caller: Caller) => (await send('subscription', field, unknown, caller)).code
    const { answered, expected } = await tried({ name, permission: subscriptions[name]! }, act)
    expect(answered).toEqual(expected)
  })
})

const rows = [...platformDialect.routes, ...oecDialect.routes, ...ocoreDialect.routes, ...bridgeDialect.routes].map(
  (route) => [`${route.method} ${route.path}`, route] as const,
)
const declaredOf = ({ name }: Route) => (commands.get(name) ?? queries.get(name))!

/** Runs a row with the ids that its path names, below an object of the estate where the path names one. */
function runRow(route: Route, ids: Estate, caller: Caller) {
  const place = route.within ? idsOf(route.within.params, route.within.query.ids, estate) : {}
  const raw = { headers: {} } as IncomingMessage
  return route.run({ ...request(world.app, caller), raw }, idsOf(route.params ?? {}, declaredOf(route).ids, ids), place)
}

const idsOf = (sources: Record<string, string | Source>, types: Readonly<Record<string, IdType>>, from: Estate) =>
  Object.fromEntries(
    Object.values(sources).flatMap((source) => {
      const { to } = sourceOf(source)
      return types[to] ? [[to, from[types[to]]]] : []
    }),
  )

describe('with ids of no object, only those with the permission learn that, by REST', () => {
  it.each(rows)('%s', async (_title, route) => {
    const { answered, expected } = await tried(declaredOf(route), (caller) => codeOf(runRow(route, unknown, caller)))
    expect(answered).toEqual(expected)
  })
})

describe('limited to another project, with all permissions', () => {
  const callers = () => Object.entries(limited(tenant, aside))

  /** They are on the account of the user. */
  const ofAccount = [...commands.values()].filter(({ permission }) => permission === null).map(({ name }) => name)
  /** Without a project, they create something in the caller's own. */
  const inOwnProject = ['createApiKey', 'importApiKey', 'createDatabase', 'createRedis']
  const harmless = [...ofAccount, ...inOwnProject]

  it.each(
    fieldsOf('mutation')
      .filter(({ name }) => !harmless.includes(name))
      .map((field) => [field.name, field] as const),
  )('mutation %s changes nothing', async (_name, field) => {
    for (const [title, caller] of callers()) {
      const { code } = await send('mutation', field, estate, caller)
      expect({ title, code }).not.toEqual({ title, code: 'done' })
    }
  })

  /** Objects of the organization as a whole that everybody in it sees, and of the account of the user. */
  const shared: readonly string[] = ['Organization', 'User', 'Server', 'SshKey', 'Passkey', 'Session'] satisfies IdType[]
  const hidden = () => Object.entries(estate).filter(([type]) => !shared.includes(type))

  it.each(
    fieldsOf('query')
      .filter(({ name }) => !open.includes(name))
      .map((field) => [field.name, field] as const),
  )('query %s shows nothing', async (_name, field) => {
    for (const [title, caller] of callers()) {
      const text = JSON.stringify((await send('query', field, estate, caller)).data)
      expect({ title, shown: hidden().filter(([, id]) => text.includes(id)) }).toEqual({ title, shown: [] })
    }
  })

  it('node shows nothing of any type', async () => {
    for (const [title, caller] of callers())
      for (const [type, id] of hidden()) {
        const { data } = await operation(world.app, caller, 'query ($id: ID!) { node(id: $id) { id } }', { id })
        expect({ title, type, data }).toEqual({ title, type, data: { node: null } })
      }
  })

  it.each(rows)('%s shows and changes nothing', async (_title, route) => {
    for (const [title, caller] of callers()) {
      const answer = await runRow(route, estate, caller).catch((error: unknown) => {
        if (error instanceof DomainError) return null
        throw error
      })
      const text = JSON.stringify(answer?.body ?? null)
      const shown = hidden().filter(([type, id]) => text.includes(decodeId(type as IdType, id)))
      const changed = route.runs === 'command' && !ofAccount.includes(route.name) && answer !== null
      expect({ title, shown, changed }).toEqual({ title, shown: [], changed: false })
    }
  })

  type Created = { id: string; project: { name: string } | null }
  const created = async () => {
    const lists = ['apiKeys', 'databases', 'redisInstances']
    const source = `{ ${lists.map((list) => `${list}(last: 100) { nodes { id project { name } } }`).join(' ')} }`
    const { data } = await operation(world.app, tenant.owner, source)
    return lists.flatMap((list) => data![list].nodes as Created[])
  }
  it.each(inOwnProject)('mutation %s creates in the own project only', async (name) => {
    const field = fieldsOf('mutation').find((each) => each.name === name)!
    const before = new Set((await created()).map(({ id }) => id))
    for (const [, caller] of callers()) await send('mutation', field, estate, caller)
    const projects = (await created()).filter(({ id }) => !before.has(id)).map(({ project }) => project)
    expect(new Set(projects.map((project) => project?.name))).toEqual(new Set(['Aside']))
  })

  /** Those that are not refused deliver only what the caller sees. */
  const filtered = ['events', 'webhookAttempts']
  const following = fieldsOf('subscription').filter(({ name }) => !filtered.includes(name))
  it.each(following.map((field) => [field.name, field] as const))('subscription %s follows nothing', async (_name, field) => {
    for (const [title, caller] of callers())
      expect({ title, ...(await send('subscription', field, estate, caller)) }).toMatchObject({ title, code: 'not_found' })
  })
})
