/**
 * Every mutation and subscription of the schema against every role and every kind and scope of key, also restricted to a project: what each
 * may do is told here anew, by the words of the contracts, not by the code that decides it.
 */
import { createSourceEventStream, isRequiredArgument, parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callerOfKey, createApiKey } from '../../src/domain/access/api-key/index.ts'
import { createProject } from '../../src/domain/apps/project/index.ts'
import { createGraphqlContext } from '../../src/graphql/builder/context.ts'
import type { Caller, Permission, SystemRole } from '../../src/platform/access.ts'
import { type Command, type CommandInput, execute } from '../../src/platform/command.ts'
import { DomainError } from '../../src/platform/errors.ts'
import { codeOf, createTenant, operation, request, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, documentFor, type Estate, idSlots, variablesFor } from './estate.ts'
import { commands, schema } from './support.ts'

let world: World
let tenant: Tenant
let estate: Estate
const callers = new Map<string, Caller>()

const isView = (permission: string) => permission.startsWith('view:')
const isDelete = (permission: string) => permission.startsWith('delete:')
const governs = (permission: string) => /:(organization|members|roles|api_keys|audit_logs)$/.test(permission)
const deployer = ['deploy:web_services', 'view:deployments', 'view:web_services']

type Actor = { name: string; may: (permission: string) => boolean } & ({ role: SystemRole } | { key: CommandInput })

/** A key of a member has what both its own scope and the role of the member have. */
const actors: Actor[] = [
  { name: 'an owner', role: 'OWNER', may: () => true },
  { name: 'an admin', role: 'ADMIN', may: (permission) => permission !== 'delete:organization' },
  { name: 'a developer', role: 'DEVELOPER', may: (permission) => isView(permission) || !governs(permission) },
  { name: 'a viewer', role: 'VIEWER', may: isView },
  { name: 'ak_live_ read', key: { scope: 'READ' }, may: isView },
  {
    name: 'ak_live_ write',
    key: { scope: 'WRITE' },
    may: (permission) => isView(permission) || (!governs(permission) && !isDelete(permission)),
  },
  { name: 'ak_live_ admin', key: { scope: 'ADMIN' }, may: () => true },
  { name: 'oec_live_ro_', key: { kind: 'OEC', scope: 'READ' }, may: isView },
  {
    name: 'oec_live_rw_',
    key: { kind: 'OEC', scope: 'WRITE' },
    may: (permission) => isView(permission) || !governs(permission) || permission === 'manage:api_keys',
  },
  {
    name: 'ocore_k_',
    key: { kind: 'OCORE', scope: 'WRITE', permissions: deployer },
    may: (permission) => deployer.includes(permission),
  },
]
const keys = actors.filter((actor) => 'key' in actor)

async function callerOf(actor: Actor, projectId?: string): Promise<Caller> {
  if ('role' in actor) {
    const member = await createTenant(world.app, undefined, actor.role)
    return { ...member.owner, organizationId: tenant.organizationId }
  }
  const { plaintextKey } = await execute(request(world.app, tenant.owner), createApiKey, { name: actor.name, projectId, ...actor.key })
  return (await callerOfKey(world.app, plaintextKey!))!
}

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  estate = await createEstate(world.app, tenant)
  const { project } = await execute(request(world.app, tenant.owner), createProject, { name: 'another' })
  for (const actor of actors) callers.set(actor.name, await callerOf(actor))
  for (const actor of keys) callers.set(`${actor.name} of another project`, await callerOf(actor, project.id))
})
afterAll(() => world?.close())

const mutations = Object.values(schema.getMutationType()!.getFields()).map((field) => {
  const command = commands.get(field.name) as unknown as Command<unknown, null, object>
  return { name: field.name, field, command, permission: command.permission }
})
type Mutation = (typeof mutations)[number]

/** The code of the first error, or `done`. `at`: an optional id to send with it. */
async function outcomeOf({ field, name }: Pick<Mutation, 'field' | 'name'>, caller: Caller, at?: { path: string[]; value: unknown }) {
  const variables = variablesFor(field, estate, 'mutation', at)
  const { data, errors } = await operation(world.app, caller, documentFor('mutation', field, variables), variables)
  if (errors) expect(data).toEqual({ [name]: null })
  return errors?.[0]?.code ?? 'done'
}

describe('a mutation', () => {
  it.each(mutations.filter(({ permission }) => permission !== null))(
    '$name: whoever has $permission, and nobody else',
    async (mutation) => {
      for (const { name, may } of actors) {
        const caller = callers.get(name)!
        // Whoever may run it sends empty input, which is refused after the permission check, so that the estate remains.
        const outcome = may(mutation.permission!)
          ? await codeOf(execute(request(world.app, caller), mutation.command, {})).then((code) => (code === 'forbidden' ? code : 'passes'))
          : await outcomeOf(mutation, caller)
        expect({ name, outcome }).toEqual({ name, outcome: may(mutation.permission!) ? 'passes' : 'forbidden' })
      }
    },
  )

  it.each(mutations.filter(({ permission }) => permission === null))('$name: no API key', async (mutation) => {
    for (const { name } of keys)
      expect({ name, outcome: await outcomeOf(mutation, callers.get(name)!) }).toEqual({ name, outcome: 'forbidden' })
  })

  /** What only filters by the id. */
  const filters = ['exportAuditLog(input.targetId)', 'exportAuditLog(input.actorId)']
  const slots = idSlots('mutation', schema.getMutationType()!.getFields()).filter(({ title }) => !filters.includes(title))

  it.each(slots)('$title: no key of another project than that of the object', async ({ field, path, isList, type }) => {
    const { permission } = commands.get(field.name)!
    const id = estate[type ?? 'Project']
    for (const { name, may } of keys) {
      const caller = callers.get(`${name} of another project`)!
      const outcome = await outcomeOf({ field, name: field.name }, caller, { path, value: isList ? [id] : id })
      const expected = permission !== null && may(permission) ? ['forbidden', 'not_found', 'invalid_input'] : ['forbidden']
      expect({ name, outcome, isExpected: expected.includes(outcome) }).toEqual({ name, outcome, isExpected: true })
    }
  })
})

describe('a subscription', () => {
  /** What each needs. Of a resource, the permission to view its type. */
  const needs: Record<string, Permission> = {
    deploymentLogs: 'view:deployments',
    deploymentUpdated: 'view:deployments',
    events: 'view:webhooks',
    operationUpdated: 'view:environments',
    resourceUpdated: 'view:databases',
    webServiceLogs: 'view:web_services',
    webhookAttempts: 'view:webhooks',
  }
  const subscriptions = Object.values(schema.getSubscriptionType()!.getFields())

  it.each(subscriptions)('$name: whoever may view what it shows, and no key of another project', async (field) => {
    const permission = needs[field.name]!
    for (const { name, may } of actors) {
      const outcome = await streamOf(field, callers.get(name)!)
      expect({ name, outcome }).toEqual({ name, outcome: may(permission) ? 'stream' : 'forbidden' })
    }
    if (!field.args.some(isRequiredArgument)) return
    for (const { name, may } of keys) {
      const outcome = await streamOf(field, callers.get(`${name} of another project`)!)
      expect({ name, outcome }).toEqual({ name, outcome: may(permission) ? 'not_found' : 'forbidden' })
    }
  })

  async function streamOf(field: (typeof subscriptions)[number], caller: Caller): Promise<string> {
    const variableValues = variablesFor(field, estate, 'subscription')
    const client = new AbortController()
    const contextValue = createGraphqlContext(request(world.app, caller), client.signal)
    const document = parse(documentFor('subscription', field, variableValues))
    const stream = await createSourceEventStream({ schema, document, variableValues, contextValue })
    if (!(Symbol.asyncIterator in stream)) return (stream.errors![0]!.originalError as DomainError).code
    const iterator = stream[Symbol.asyncIterator]()
    const next = iterator.next().then(
      () => 'stream',
      (error: unknown) => (error instanceof DomainError ? error.code : String(error)),
    )
    client.abort()
    const outcome = await next
    await iterator.return?.()
    return outcome
  }
})
