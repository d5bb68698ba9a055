/** Another organization's id is answered exactly like an unknown id, in every place of the schema that takes an id. */
import { createSourceEventStream, isObjectType, parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGraphqlContext } from '../../src/graphql/builder/context.ts'
import { administration, type Caller } from '../../src/platform/access.ts'
import { DomainError } from '../../src/platform/errors.ts'
import { encodeId, type IdType, newId, parseTypeId } from '../../src/platform/id.ts'
import { createTenant, operation, request, type Tenant, type World } from '../support/tenant.ts'
import { createEstate, createFullWorld, documentFor, type Estate, idSlots, type Slot, variablesFor } from './estate.ts'
import { commands, idTypes, queries, schema } from './support.ts'

let world: World
let tenant: Tenant
let own: Estate
let foreign: Estate

beforeAll(async () => {
  world = await createFullWorld()
  tenant = await createTenant(world.app)
  own = await createEstate(world.app, tenant)
  foreign = await createEstate(world.app, await createTenant(world.app))
})
afterAll(() => world?.close())

const types = idTypes
const malformed = ['', ' ', 'x', 'proj_', 'proj_01h455vb4pex5vsknk084sn02', '%', "' or true --", 'x'.repeat(10_000)]

/** Ids that the caller can't use: another organization's and unknown ones of every type, both also as UUIDs, and malformed text. */
const strange = (type: IdType = 'Project'): string[] => {
  const [theirs, unknown] = [foreign[type], encodeId(type, newId())]
  return [...types.map((each) => foreign[each]), unknown, ...[theirs, unknown].map((id) => parseTypeId(id)!.uuid), ...malformed]
}

/** Everything by which a caller can distinguish two answers. */
type Outcome = unknown

async function send(slot: Slot, id: string, caller: Caller = tenant.owner): Promise<Outcome> {
  const variables = variablesFor(slot.field, own, slot.kind, { path: slot.path, value: slot.isList ? [id] : id })
  const document = documentFor(slot.kind, slot.field, variables)
  return slot.kind === 'subscription' ? firstOf(document, variables, caller) : operation(world.app, caller, document, variables)
}

/** What a subscription returns if its client leaves at once. */
async function firstOf(source: string, variableValues: Record<string, unknown>, caller: Caller): Promise<Outcome> {
  const client = new AbortController()
  const contextValue = createGraphqlContext(request(world.app, caller), client.signal)
  const stream = await createSourceEventStream({ schema, document: parse(source), variableValues, contextValue })
  if (!(Symbol.asyncIterator in stream))
    return {
      errors: stream.errors?.map((error) => (error.originalError instanceof DomainError ? error.originalError.code : error.message)),
    }
  const iterator = stream[Symbol.asyncIterator]()
  const next = iterator.next().then(
    () => 'stream',
    (error: unknown) => ({ errors: [error instanceof DomainError ? error.code : String(error)] }),
  )
  client.abort()
  const outcome = await next
  await iterator.return?.()
  return outcome
}

/** Plans are the same for all organizations. */
const shared = ['createDatabase(input.planId)', 'createRedis(input.planId)']

const slots = [
  ...idSlots('query', schema.getQueryType()!.getFields()),
  ...idSlots('mutation', schema.getMutationType()!.getFields()),
  ...idSlots('subscription', schema.getSubscriptionType()!.getFields()),
].filter(({ title }) => !shared.includes(title))

/** What only filters by the id: with an unknown one, these subscriptions never deliver anything, and the link of an export leads to nothing. */
const filters = [
  'subscription events(projectId)',
  'subscription webhookAttempts(endpointId)',
  'mutation exportAuditLog(input.targetId)',
  'mutation exportAuditLog(input.actorId)',
]

it('every place that takes an id is known', () => {
  expect(slots.length).toBeGreaterThan(25)
  expect(slots.filter((slot) => slot.type === null && !['node(id)', 'nodes(ids)'].includes(slot.title)).map(({ title }) => title)).toEqual(
    [],
  )
})

const titled = (list: Slot[]) => list.map((slot) => [`${slot.kind} ${slot.title}`, slot] as const)

it.each(titled(slots))('%s answers a foreign, an unknown and a malformed id alike', async (_title, slot) => {
  const expected = await send(slot, encodeId('Project', newId()))
  for (const id of strange(slot.type ?? undefined)) expect({ id, outcome: await send(slot, id) }).toEqual({ id, outcome: expected })
})

/** Members of organizations learn nothing from what is for administrators of the installation. */
const ofInstallation = ({ name }: { name: string }) => (commands.get(name) ?? queries.get(name))?.permission === administration

const telling = slots.filter((slot) => !filters.includes(`${slot.kind} ${slot.title}`) && !ofInstallation(slot.field))

it.each(titled(telling))('%s answers its own id differently', async (_title, slot) => {
  const unknown = await send(slot, encodeId('Project', newId()))
  // A mutation may delete the object, so each gets its own estate.
  const spent = slot.kind === 'mutation' ? await createTenant(world.app) : tenant
  const estate = slot.kind === 'mutation' ? await createEstate(world.app, spent) : own
  const id = estate[slot.type ?? 'Project']
  const variables = variablesFor(slot.field, estate, slot.kind, { path: slot.path, value: slot.isList ? [id] : id })
  const document = documentFor(slot.kind, slot.field, variables)
  const mine =
    slot.kind === 'subscription'
      ? await firstOf(document, variables, spent.owner)
      : await operation(world.app, spent.owner, document, variables)
  expect(mine).not.toEqual(unknown)
  expect(JSON.stringify(mine)).not.toContain('masked')
})

describe('below the root', () => {
  const nested: Record<string, (id: string) => Promise<unknown>> = {
    'Viewer.can(on)': (on) =>
      operation(world.app, tenant.owner, 'query ($on: ID) { viewer { can(permission: "view:projects", on: $on) } }', { on }),
    'WebhookMessage.attempts(endpointId)': (endpointId) =>
      operation(
        world.app,
        tenant.owner,
        'query ($id: ID!, $e: ID) { webhookMessage(id: $id) { attempts(endpointId: $e) { totalCount nodes { id } } } }',
        {
          id: own.WebhookMessage,
          e: endpointId,
        },
      ),
  }
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  const places = Object.values(schema.getTypeMap())
    .filter((type) => isObjectType(type) && !roots.includes(type))
    .flatMap((type) => (isObjectType(type) ? idSlots('query', type.getFields()).map((slot) => `${type.name}.${slot.title}`) : []))

  it('every place that takes an id has its case here', () => {
    expect(places.toSorted()).toEqual(Object.keys(nested).toSorted())
  })

  it.each(Object.entries(nested))(
    '%s answers a foreign, an unknown and a malformed id alike, and its own differently',
    async (title, ask) => {
      const expected = await ask(encodeId('Project', newId()))
      for (const id of strange()) expect({ id, outcome: await ask(id) }).toEqual({ id, outcome: expected })
      expect(await ask(title.startsWith('Viewer') ? own.Project : own.WebhookEndpoint)).not.toEqual(expected)
    },
  )
})

it('a list shows nothing of another organization', async () => {
  const stranger = await createTenant(world.app)
  const lists = Object.values(schema.getQueryType()!.getFields()).filter(({ type }) => String(type).endsWith('Connection!'))
  for (const field of lists.filter((each) => !ofInstallation(each))) {
    const { data } = await operation(world.app, stranger.owner, documentFor('query', field, {}), {})
    const builtIn = ['organizations', 'members', 'roles', 'servers', 'webhookMessages'].includes(field.name)
      ? data![field.name].totalCount
      : 0
    expect({ field: field.name, count: data![field.name].totalCount }).toEqual({ field: field.name, count: builtIn })
  }
})
