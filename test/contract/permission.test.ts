/** GraphQL for callers without permissions, and with one permission. What every role and key may do is in role-matrix.test.ts. */
import { getNamedType, isObjectType } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Caller, Permission } from '../../src/platform/access.ts'
import { createTenant, operation, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, documentFor, type Estate, variablesFor } from './estate.ts'
import { commands, schema } from './support.ts'

let world: World
let tenant: Tenant
let estate: Estate

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  estate = await createEstate(world.app, tenant)
})
afterAll(() => world?.close())

describe('GraphQL for a caller without permissions', () => {
  const nobody = (): Caller => ({ ...tenant.owner, permissions: new Set() })
  const run = (kind: 'query' | 'mutation', name: string, selection?: string) => {
    const field = (kind === 'query' ? schema.getQueryType()! : schema.getMutationType()!).getFields()[name]!
    const variables = variablesFor(field, estate, kind)
    return operation(world.app, nobody(), documentFor(kind, field, variables, selection), variables)
  }

  /** Commands on one's own account need no permission. */
  const mutations = Object.keys(schema.getMutationType()!.getFields()).filter((name) => commands.get(name)!.permission !== null)
  it.each(mutations)('mutation %s is forbidden', async (name) => {
    expect(await run('mutation', name)).toEqual({ data: { [name]: null }, errors: [expect.objectContaining({ code: 'forbidden' })] })
  })

  /** They describe the caller and show no data of the organization. */
  const open = ['viewer', 'sessions', 'node', 'nodes', 'permissions', 'plans', 'webhookEventTypes']
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
