import { graphql } from 'graphql'
import { expect, it } from 'vitest'
import { createGraphqlContext } from '../../../src/graphql/context.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { createOrganization, fannedOut, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '10' }, { shared: true })

// biome-ignore lint/suspicious/noExplicitAny: a response of any shape
type Answer = { data: Record<string, any> | null; errors?: { message: string; extensions: Record<string, unknown> }[] }

async function query(source: string, variables: Record<string, unknown> = {}, as = world.caller): Promise<Answer> {
  const contextValue = createGraphqlContext(world.request(as))
  return JSON.parse(JSON.stringify(await graphql({ schema, source, variableValues: variables, contextValue }))) as Answer
}

async function statementsOf(source: string): Promise<number> {
  let statements = 0
  const off = world.app.db.onStatement(() => statements++)
  const { errors } = await query(source)
  off()
  expect(errors).toBeUndefined()
  return statements
}

it('an endpoint can be created, read, updated and deleted, and its deliveries read with their attempts', async () => {
  const receiver = await world.receiver((_, n) => ({ status: n === 1 ? 500 : 200 }))
  const made = await query(
    `mutation ($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) {
       secret webhookEndpoint { id url description eventTypes project { id } retryScheduleMs disabledAt disabledReason version } } }`,
    { input: { url: receiver.url, eventTypes: ['project.*'], description: 'chat' } },
  )
  expect(made.errors).toBeUndefined()
  const { secret, webhookEndpoint } = made.data!.createWebhookEndpoint
  expect(secret).toMatch(/^whsec_/)
  expect(webhookEndpoint).toEqual({
    id: expect.stringMatching(/^wh_/),
    url: receiver.url,
    description: 'chat',
    eventTypes: ['project.*'],
    project: null,
    retryScheduleMs: null,
    disabledAt: null,
    disabledReason: null,
    version: 1,
  })

  const jobs = world.work(world.app)
  const messageId = encodeId('WebhookMessage', await world.publishUpdate())
  await receiver.waitFor(2)
  await fannedOut(world.app, world.caller)
  const read = `query ($id: ID!) { webhookMessage(id: $id) { id eventType payload
      deliveries { endpointId endpoint { id } status reason attemptCount nextAttemptAt }
      attempts(first: 5) { totalCount nodes { id number endpointId endpoint { id } trigger url durationMs responseStatus errorClass requestHeaders worker } } } }`
  const deadline = performance.now() + 60_000
  let message = (await query(read, { id: messageId })).data?.webhookMessage
  while (message?.deliveries[0]?.status !== 'DELIVERED' && performance.now() < deadline)
    message = (await query(read, { id: messageId })).data?.webhookMessage
  await jobs.stop({ graceMs: 1_000 })
  // Several statements read its parts, so nothing must change meanwhile.
  message = (await query(read, { id: messageId })).data?.webhookMessage
  expect(message).toMatchObject({
    id: messageId,
    eventType: 'project.updated',
    payload: { id: messageId, type: 'project.updated', sequence: 1 },
    deliveries: [
      { endpointId: webhookEndpoint.id, endpoint: { id: webhookEndpoint.id }, status: 'DELIVERED', attemptCount: 2, nextAttemptAt: null },
    ],
    attempts: {
      totalCount: 2,
      nodes: [
        { id: expect.stringMatching(/^att_/), number: 2, responseStatus: 200, errorClass: null, trigger: 'AUTOMATIC', worker: 'worker' },
        {
          number: 1,
          responseStatus: 500,
          errorClass: 'HTTP',
          url: receiver.url,
          requestHeaders: { 'webhook-id': messageId, 'webhook-signature': '[masked]' },
        },
      ],
    },
  })

  const attemptId = message.attempts.nodes[0].id
  const nodes = await query('query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', {
    ids: [webhookEndpoint.id, messageId, attemptId],
  })
  expect(nodes.data!.nodes).toEqual([
    { __typename: 'WebhookEndpoint', id: webhookEndpoint.id },
    { __typename: 'WebhookMessage', id: messageId },
    { __typename: 'WebhookAttempt', id: attemptId },
  ])
  const stranger = await createOrganization(world.app)
  const foreign = await query(
    'query ($ids: [ID!]!) { nodes(ids: $ids) { id } webhookMessages { nodes { id } } }',
    { ids: [webhookEndpoint.id, messageId, attemptId] },
    stranger,
  )
  expect(foreign.data).toEqual({ nodes: [null, null, null], webhookMessages: { nodes: [] } })

  const filters: [string, number][] = [
    [`endpointId: "${webhookEndpoint.id}"`, 1],
    ['status: DELIVERED', 1],
    ['status: EXHAUSTED', 0],
    [`endpointId: "${webhookEndpoint.id}", status: PENDING`, 0],
    ['eventType: "project.updated"', 1],
    ['eventType: "webhook_endpoint.created"', 1],
    ['since: "2000-01-01T00:00:00Z", eventType: "project.updated"', 1],
    ['until: "2000-01-01T00:00:00Z"', 0],
  ]
  for (const [filter, count] of filters) {
    const list = await query(`{ webhookMessages(${filter}) { totalCount nodes { id } } }`)
    expect({ filter, count: list.data!.webhookMessages.nodes.length, total: list.data!.webhookMessages.totalCount }).toEqual({
      filter,
      count,
      total: count,
    })
  }

  const disabled = await query(
    'mutation ($id: ID!) { updateWebhookEndpoint(input: {id: $id, disabled: true, retryScheduleMs: []}) { webhookEndpoint { disabledAt retryScheduleMs version } } }',
    { id: webhookEndpoint.id },
  )
  expect(disabled.data!.updateWebhookEndpoint.webhookEndpoint).toEqual({ disabledAt: expect.any(String), retryScheduleMs: [], version: 2 })
  const deleted = await query('mutation ($id: ID!) { deleteWebhookEndpoint(input: {id: $id}) { deletedId } }', { id: webhookEndpoint.id })
  expect(deleted.data!.deleteWebhookEndpoint).toEqual({ deletedId: webhookEndpoint.id })
  const after = await query(read, { id: messageId })
  expect(after.data!.webhookMessage.deliveries).toMatchObject([{ endpointId: webhookEndpoint.id, endpoint: null, status: 'DELIVERED' }])
})

it('a list costs the same number of statements however long it is', async () => {
  const receiver = await world.receiver()
  const source = `{ webhookMessages(first: 50) { totalCount nodes { id payload
      deliveries { status endpoint { id } } attempts(first: 2) { totalCount nodes { number endpoint { url } } } } } webhookEndpoints { totalCount nodes { id } } }`
  const endpoints: string[] = []
  for (let n = 0; n < 3; n++) {
    const made = await query('mutation ($url: String!) { createWebhookEndpoint(input: {url: $url}) { webhookEndpoint { id } } }', {
      url: receiver.url,
    })
    endpoints.push(made.data!.createWebhookEndpoint.webhookEndpoint.id)
  }
  const sendSome = async (count: number, requests: number) => {
    const jobs = world.work(world.app)
    for (let n = 0; n < count; n++) await world.publishUpdate()
    await fannedOut(world.app, world.caller)
    await receiver.waitFor(requests)
    await jobs.stop({ graceMs: 5_000 })
  }
  // The creation of the second and third endpoint is itself sent to the earlier ones.
  await sendSome(1, 3 + 3)
  const few = await statementsOf(source)
  await sendSome(20, 3 + 3 + 60)
  const many = await statementsOf(source)
  // Page (with deliveries) and count of messages; size of bodies, bodies, attempts, their counts; endpoints of deliveries and of attempts; page and count of endpoints.
  expect({ few, many }).toEqual({ few: 10, many: 10 })
})
