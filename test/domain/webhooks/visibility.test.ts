import { beforeAll, describe, expect, it } from 'vitest'
import { expungeWebhookMessage } from '../../../src/domain/webhooks/attempt/index.ts'
import { attemptsAfter, beginWebhookAttempts } from '../../../src/domain/webhooks/attempt/queries.ts'
import { deleteWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { createGraphqlContext } from '../../../src/graphql/context.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { execute } from '../../../src/platform/command.ts'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { codeOf, operation } from '../../support/tenant.ts'
import { createOrganization, createProjectRow, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '10' }, { shared: true })
/** Sees only one project. */
let ofProject: Caller
let message: string
/** IDs of endpoints: one of the project, one of the whole organization, and a deleted one of the project. */
let own: string
let wide: string
let gone: string

beforeAll(async () => {
  const projectId = await createProjectRow(world.app, world.caller)
  ofProject = { ...world.caller, projectIds: [projectId] }
  const receiver = await world.receiver(() => ({ status: 200, body: 'an answer' }))
  const create = async (name: string, ofProjectId: string | null) => {
    const input = { url: new URL(name, receiver.url).href, projectId: ofProjectId, eventTypes: ['project.updated'] }
    return (await world.createEndpoint(input)).webhookEndpoint.id
  }
  own = await create('own', projectId)
  wide = await create('wide', null)
  gone = await create('gone', projectId)
  world.work(world.app)
  message = await world.publishUpdate({ projectId })
  for (const id of [own, wide, gone]) await settled(world.app, id)
  await execute(world.request(), deleteWebhookEndpoint, { id: gone })
})

const ask = async (caller: Caller, source: string) => {
  const { data, errors } = await operation(world.app, caller, source)
  expect(errors).toBeUndefined()
  return data!
}
const wh = (ids: string[]) => ids.map((id) => encodeId('WebhookEndpoint', id)).toSorted()
const endpointsOf = (items: { endpointId: string }[]) => items.map(({ endpointId }) => endpointId).toSorted()
const attemptIds = async (endpointId: string) =>
  (await rows<{ id: string }>(world.app.db, sql`select id from webhook_attempt where endpoint_id = ${endpointId}::uuid`)).map(({ id }) =>
    encodeId('WebhookAttempt', id),
  )

describe.each([
  { who: 'a key of one project reads only what was sent to its own endpoints', as: () => ofProject, sees: () => [own] },
  {
    who: 'a caller of the organization reads everything, including deleted endpoints',
    as: () => world.caller,
    sees: () => [own, wide, gone],
  },
])('$who', ({ as, sees }) => {
  it('webhookAttempts', async () => {
    const { webhookAttempts } = await ask(as(), '{ webhookAttempts { totalCount nodes { endpointId url responseBody } } }')
    expect(endpointsOf(webhookAttempts.nodes)).toEqual(wh(sees()))
    expect(webhookAttempts.totalCount).toBe(sees().length)
  })

  it('a message with its deliveries and attempts', async () => {
    const { webhookMessage } = await ask(
      as(),
      `{ webhookMessage(id: "${message}") { deliveries { endpointId reason } attempts { totalCount nodes { endpointId url } } } }`,
    )
    expect(endpointsOf(webhookMessage.deliveries)).toEqual(wh(sees()))
    expect(endpointsOf(webhookMessage.attempts.nodes)).toEqual(wh(sees()))
    expect(webhookMessage.attempts.totalCount).toBe(sees().length)
  })

  it('node', async () => {
    const ids = (await Promise.all([own, wide, gone].map(attemptIds))).flat()
    const { nodes } = await ask(as(), `{ nodes(ids: ${JSON.stringify(ids)}) { ... on WebhookAttempt { endpointId } } }`)
    expect(endpointsOf(nodes.filter((node: unknown) => node !== null))).toEqual(wh(sees()))
  })

  it('the subscription', async () => {
    const found = await attemptsAfter({ tx: world.app.db, caller: as() }, null, 0n, [], 100)
    expect(found.map(({ endpointId }) => endpointId).toSorted()).toEqual(sees().toSorted())
  })
})

it('the subscription cannot start after an attempt that the caller may not see', async () => {
  const [hidden] = await attemptIds(wide)
  const begin = (caller: Caller) => {
    const context = createGraphqlContext({ app: world.app, caller, requestId: 'test' })
    return context.call(beginWebhookAttempts, { after: hidden! })
  }
  expect(await codeOf(begin(world.caller))).toBe('done')
  expect(await codeOf(begin(ofProject))).toBe('invalid_input')
})

it('messages are not found by their status at an endpoint that the caller may not see', async () => {
  const source = '{ webhookMessages(status: DELIVERED, eventType: "project.updated") { totalCount } }'
  const projectId = await createProjectRow(world.app, world.caller)
  const other = { ...world.caller, projectIds: [projectId] }
  const receiver = await world.receiver(() => ({ status: 410 }))
  expect((await ask(ofProject, source)).webhookMessages.totalCount).toBe(1)
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
  await world.publishUpdate({ projectId })
  await settled(world.app, webhookEndpoint.id)
  await settled(world.app, wide, 2)
  expect((await ask(world.caller, source)).webhookMessages.totalCount).toBe(2)
  expect((await ask(other, source)).webhookMessages.totalCount).toBe(0)
})

it('a response of an endpoint that the caller may not see cannot be expunged alone', async () => {
  const [hidden] = await attemptIds(wide)
  const expunge = execute(world.request(ofProject), expungeWebhookMessage, {
    messageId: message,
    attemptId: hidden!,
  })
  expect(await codeOf(expunge)).toBe('not_found')
})

describe('an id in a filter', () => {
  const code = async (caller: Caller, source: string) => (await operation(world.app, caller, source)).errors?.[0]?.code ?? 'done'
  const lists = (args: string) => [
    `{ webhookAttempts(${args}) { totalCount } }`,
    `{ webhookAttempts(${args}) { nodes { id } } }`,
    ...(args.startsWith('endpointId')
      ? [`{ webhookMessages(${args}) { totalCount } }`, `{ webhookMessages(${args}) { nodes { id } } }`]
      : []),
  ]

  it.each(['endpointId', 'messageId'])('%s that is unknown, malformed or of another organization is not_found', async (name) => {
    const foreigner = await createOrganization(world.app)
    const known = name === 'endpointId' ? own : message
    for (const source of [newId(), 'nonsense'].flatMap((id) => lists(`${name}: "${id}"`)))
      expect(await code(world.caller, source)).toBe('not_found')
    for (const source of lists(`${name}: "${known}"`)) {
      expect(await code(foreigner, source)).toBe('not_found')
      expect(await code(world.caller, source)).toBe('done')
    }
  })

  it('an endpoint of the organization is not_found for a key of one project; the organization can filter by a deleted one', async () => {
    for (const source of [wide, gone].flatMap((id) => lists(`endpointId: "${id}"`))) {
      expect(await code(ofProject, source)).toBe('not_found')
      expect(await code(world.caller, source)).toBe('done')
    }
  })
})
