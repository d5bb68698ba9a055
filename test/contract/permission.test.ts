/** Every command, query and root field with every scope of key: either allowed or `forbidden`. */
import { getNamedType, isObjectType } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, type KeyScope, keyPermissions, type Permission, rolePermissions } from '../../src/platform/access.ts'
import { ask, type Command, execute, type Query } from '../../src/platform/command.ts'
import { codeOf, createTenant, operation, request, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, documentFor, type Estate, variablesFor } from './estate.ts'
import { commands, queries, schema } from './support.ts'

let world: World
let tenant: Tenant
let estate: Estate

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  estate = await createEstate(world.app, tenant)
})
afterAll(() => world?.close())

const scopes: KeyScope[] = ['READ', 'WRITE', 'ADMIN']

/** READ reads. WRITE changes and deploys, but neither deletes nor extends permissions. ADMIN does everything. */
function allowed(permission: Permission, scope: KeyScope): boolean {
  const [verb, resource] = permission.split(':') as [string, string]
  if (scope === 'ADMIN' || verb === 'view') return true
  return scope === 'WRITE' && verb !== 'delete' && !['organization', 'members', 'roles', 'api_keys', 'audit_logs'].includes(resource)
}

/** Empty input is refused after the permission check. The test only checks whether the permission check passed. */
const outcome = async (act: Promise<unknown>) => ((await codeOf(act)) === 'forbidden' ? 'forbidden' : 'allowed')

/** Commands on one's own account need no permission of an organization. */
const withPermission = [...commands.values()].filter(({ permission }) => permission !== null)
const ownAccount = [...commands.values()].filter(({ permission }) => permission === null).map(({ name }) => name)

const cases = <Declared extends { name: string }>(declared: Iterable<Declared>) =>
  [...declared].flatMap((each) => scopes.map((scope) => [each.name, scope, each] as const))

describe('a key’s scope', () => {
  it.each(cases(withPermission))('for %s: %s', async (_name, scope, command) => {
    const act = execute(request(world.app, tenant.key(scope)), command as unknown as Command<unknown, null, object>, {})
    expect(await outcome(act)).toBe(allowed(command.permission!, scope) ? 'allowed' : 'forbidden')
  })

  it.each(ownAccount)('%s is for people only, whatever the scope', async (name) => {
    const field = schema.getMutationType()!.getFields()[name]!
    const variables = variablesFor(field, estate, 'mutation')
    for (const scope of scopes) {
      const { errors } = await operation(world.app, tenant.key(scope), documentFor('mutation', field, variables), variables)
      expect(errors?.map(({ code }) => code)).toEqual(['forbidden'])
    }
  })

  it.each(cases([...queries.values()].filter(({ permission }) => permission !== null)))(
    'for the query %s: %s',
    async (_name, scope, query) => {
      const act = ask(request(world.app, tenant.key(scope)), query as unknown as Query<unknown, unknown>, {})
      expect(await outcome(act)).toBe(allowed(query.permission!, scope) ? 'allowed' : 'forbidden')
    },
  )

  it('is of no use for the sessions of its creator', async () => {
    const { errors } = await operation(world.app, tenant.key('ADMIN'), '{ sessions { id } }')
    expect(errors?.map(({ code }) => code)).toEqual(['forbidden'])
  })

  it('matches the permissions of a key, for every permission', () => {
    for (const scope of scopes) {
      for (const permission of keyPermissions('ADMIN', rolePermissions('OWNER'))) {
        expect({ scope, permission, has: keyPermissions(scope, rolePermissions('OWNER')).has(permission) }).toEqual({
          scope,
          permission,
          has: allowed(permission, scope),
        })
      }
    }
  })
})

describe('with one permission missing', () => {
  const without = (permission: Permission): Caller => ({
    ...tenant.owner,
    permissions: new Set([...tenant.owner.permissions].filter((each) => each !== permission)),
  })

  const guarded = [...commands.values()].flatMap(({ permission, ...command }) => (permission ? [[command.name, permission] as const] : []))
  it.each(guarded)('%s is forbidden without %s', async (name, permission) => {
    const command = commands.get(name) as unknown as Command<unknown, null, object>
    expect(await codeOf(execute(request(world.app, without(permission)), command, {}))).toBe('forbidden')
  })
})

describe('GraphQL for a caller without permissions', () => {
  const nobody = (): Caller => ({ ...tenant.owner, permissions: new Set() })
  const run = (kind: 'query' | 'mutation', name: string, selection?: string) => {
    const field = (kind === 'query' ? schema.getQueryType()! : schema.getMutationType()!).getFields()[name]!
    const variables = variablesFor(field, estate, kind)
    return operation(world.app, nobody(), documentFor(kind, field, variables, selection), variables)
  }

  const mutations = Object.keys(schema.getMutationType()!.getFields()).filter((name) => !ownAccount.includes(name))
  it.each(mutations)('mutation %s is forbidden', async (name) => {
    expect(await run('mutation', name)).toEqual({ data: { [name]: null }, errors: [expect.objectContaining({ code: 'forbidden' })] })
  })

  /** They describe the caller and show no data of the organization. */
  const open = ['viewer', 'sessions', 'node', 'nodes', 'permissions', 'webhookEventTypes']
  it.each(Object.keys(schema.getQueryType()!.getFields()).filter((name) => !open.includes(name)))('query %s is forbidden', async (name) => {
    const { errors } = await run('query', name, name === 'project' || name === 'webService' ? '{ id }' : undefined)
    expect(errors?.map(({ code }) => code)).toEqual(['forbidden'])
  })

  it('`node` returns null for every type', async () => {
    for (const [type, id] of Object.entries(estate)) {
      const { data, errors } = await operation(world.app, nobody(), 'query ($id: ID!) { node(id: $id) { id } }', { id })
      expect({ type, node: data?.node ?? null, codes: errors?.map(({ code }) => code) ?? ['forbidden'] }).toEqual({
        type,
        node: null,
        codes: ['forbidden'],
      })
    }
  })

  it('`viewer` describes the caller and shows nothing of the organization', async () => {
    const { data, errors } = await operation(world.app, nobody(), '{ viewer { permissions can(permission: "view:projects") user { id } } }')
    expect({ data, errors }).toEqual({ data: { viewer: { permissions: [], can: false, user: { id: estate.User } } }, errors: undefined })
    const { errors: refused } = await operation(world.app, nobody(), '{ viewer { organization { id } } }')
    expect(refused?.map(({ code }) => code)).toEqual(['forbidden'])
  })
})

describe('GraphQL for a caller with one view permission', () => {
  /** The permission that shows a type. A type that is not listed is visible with its parent. */
  const views: Record<string, Permission> = {
    Project: 'view:projects',
    Environment: 'view:environments',
    WebService: 'view:web_services',
    Deployment: 'view:deployments',
    Secret: 'view:secrets',
    EnvVar: 'view:secrets',
    SecretBinding: 'view:secrets',
    ApiKey: 'view:api_keys',
    Server: 'view:servers',
    WebhookEndpoint: 'view:webhooks',
    WebhookMessage: 'view:webhooks',
    WebhookAttempt: 'view:webhooks',
  }
  /** Fields of one type that return objects of another type. */
  const ways = Object.keys(views).flatMap((from) => {
    const type = schema.getType(from)
    const fields = isObjectType(type) ? Object.values(type.getFields()) : []
    return fields.flatMap((field) => {
      const to = getNamedType(field.type).name.replace(/Connection$/, '')
      return to in views && views[to] !== views[from]
        ? [[`${from}.${field.name}`, from, field.name, to, getNamedType(field.type).name] as const]
        : []
    })
  })

  it('finds the fields that lead from one type to another', () => {
    expect(ways.length).toBeGreaterThan(8)
  })

  it.each(ways)('%s shows nothing of the type that it leads to', async (_title, from, field, to, gives) => {
    const selection = gives.endsWith('Connection') ? '{ nodes { __typename } totalCount }' : '{ id }'
    const id = estate[from as keyof Estate]
    const only: Caller = { ...tenant.owner, permissions: new Set([views[from]!]) }
    const { data, errors } = await operation(
      world.app,
      only,
      `query ($id: ID!) { node(id: $id) { id ... on ${from} { it: ${field} ${selection} } } }`,
      { id },
    )
    const shown = data?.node?.it ?? null
    const empty = shown === null || (Array.isArray(shown) && shown.length === 0)
    expect({ to, codes: errors?.map(({ code }) => code) ?? [], shown: empty ? null : shown }).toEqual({
      to,
      codes: empty && !errors ? [] : ['forbidden'],
      shown: null,
    })
  })
})
