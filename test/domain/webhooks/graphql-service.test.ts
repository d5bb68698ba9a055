import { graphql, parse, subscribe } from 'graphql'
import { beforeAll, expect, it } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { createGraphqlContext } from '../../../src/graphql/context.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { until } from '../../support/wait.ts'
import { createOrganization, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '10' }, { shared: true })

beforeAll(async () => {
  world.work(world.app)
})

// biome-ignore lint/suspicious/noExplicitAny: a response of any shape
type Answer = { data: Record<string, any> | null; errors?: { message: string; extensions: Record<string, unknown> }[] }

async function query(source: string, variables: Record<string, unknown> = {}, as = world.caller): Promise<Answer> {
  const contextValue = createGraphqlContext(world.request(as))
  return JSON.parse(JSON.stringify(await graphql({ schema, source, variableValues: variables, contextValue }))) as Answer
}

async function data(source: string, variables: Record<string, unknown> = {}) {
  const answer = await query(source, variables)
  expect(answer.errors).toBeUndefined()
  return answer.data!
}

const create = async (input: Record<string, unknown>) =>
  (
    await data(
      `mutation ($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) { secret webhookEndpoint {
         id url channels filter headers rateLimitPerSecond maxConcurrency ordered atMostOnce legacyHeaders schemaVersion timeoutMs format
         selection keyType publicKey retryScheduleMs } } }`,
      { input: { eventTypes: ['project.updated'], ...input } },
    )
  ).createWebhookEndpoint

it('every setting of an endpoint can be written and read; headers are masked, and null restores the default', async () => {
  const { webhookEndpoint } = await create({
    url: 'http://127.0.0.1:9/',
    channels: ['red'],
    filter: { name: { equals: 'Shop' } },
    headers: { authorization: 'secret' },
    rateLimitPerSecond: 5,
    maxConcurrency: 2,
    ordered: true,
    atMostOnce: true,
    legacyHeaders: true,
    schemaVersion: 1,
    timeoutMs: 2_000,
    selection: '{ id }',
    keyType: 'ED25519',
  })
  expect(webhookEndpoint).toMatchObject({
    channels: ['red'],
    filter: { name: { equals: 'Shop' } },
    headers: { authorization: '[masked]' },
    rateLimitPerSecond: 5,
    maxConcurrency: 2,
    ordered: true,
    atMostOnce: true,
    legacyHeaders: true,
    schemaVersion: 1,
    timeoutMs: 2_000,
    format: 'RAW',
    selection: '{ id }',
    keyType: 'ED25519',
    publicKey: expect.stringMatching(/^whpk_/),
  })
  const fields = 'channels filter headers rateLimitPerSecond maxConcurrency ordered atMostOnce legacyHeaders timeoutMs format selection'
  const cleared = await data(
    `mutation ($input: UpdateWebhookEndpointInput!) { updateWebhookEndpoint(input: $input) { webhookEndpoint { ${fields} } } }`,
    { input: { id: webhookEndpoint.id, ...Object.fromEntries(fields.split(' ').map((name) => [name, null])) } },
  )
  expect(cleared.updateWebhookEndpoint.webhookEndpoint).toEqual({
    channels: [],
    filter: null,
    headers: null,
    rateLimitPerSecond: null,
    maxConcurrency: null,
    ordered: false,
    atMostOnce: false,
    legacyHeaders: false,
    timeoutMs: null,
    format: 'RAW',
    selection: null,
  })
})

it.each([
  ['rateLimitPerSecond', 0],
  ['rateLimitPerSecond', 1_001],
  ['maxConcurrency', 0],
  ['timeoutMs', 999],
  ['timeoutMs', 30_001],
  ['schemaVersion', 0],
  ['channels', ['a b']],
])('%s %j is refused', async (name, value) => {
  const { errors } = await query('mutation ($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) { secret } }', {
    input: { url: 'http://127.0.0.1:9/', [name]: value },
  })
  expect(errors).toHaveLength(1)
})

it('a secret is returned once, at creation or rotation, and in no later read', async () => {
  const { webhookEndpoint, secret } = await create({ url: 'http://127.0.0.1:9/' })
  const rotated = (
    await data('mutation ($id: ID!) { rotateWebhookSecret(input: {id: $id, graceMs: 1000}) { secret publicKey webhookEndpoint { id } } }', {
      id: webhookEndpoint.id,
    })
  ).rotateWebhookSecret
  expect(rotated).toEqual({ secret: expect.stringMatching(/^whsec_/), publicKey: null, webhookEndpoint: { id: webhookEndpoint.id } })
  const fields = Object.keys((schema.getType('WebhookEndpoint') as unknown as { getFields(): object }).getFields())
  expect(fields.filter((name) => /secret|private/i.test(name))).toEqual([])
  const everything = JSON.stringify(
    await data('{ webhookEndpoints { nodes { id url headers publicKey } } events: webhookMessages { nodes { payload } } }'),
  )
  expect(everything).not.toContain(secret)
  expect(everything).not.toContain(rotated.secret)
})

it('the catalogue lists every type with its schema, sample and version', async () => {
  const { webhookEventTypes } = await data('{ webhookEventTypes { name description version schema sample deprecatedAt } }')
  expect(webhookEventTypes.map(({ name }: { name: string }) => name)).toEqual(world.app.domain.eventTypes.all.map(({ type }) => type))
  expect(webhookEventTypes.find(({ name }: { name: string }) => name === 'project.updated')).toMatchObject({
    version: 1,
    schema: { type: 'object', required: expect.arrayContaining(['projectId']) },
    sample: { projectId: expect.stringMatching(/^proj_/) },
    deprecatedAt: null,
  })
})

it('tests, resends, expunging, recovery with its operation, and filtered attempts work through GraphQL', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await create({ url: receiver.url })
  const sent = (
    await data('mutation ($id: ID!) { sendTestWebhook(input: {endpointId: $id}) { webhookMessage { id eventType } } }', {
      id: webhookEndpoint.id,
    })
  ).sendTestWebhook.webhookMessage
  expect(sent).toEqual({ id: expect.stringMatching(/^evt_/), eventType: 'webhook.test' })
  const [first] = await receiver.waitFor(1)
  expect(JSON.parse(first!.body.toString())).toMatchObject({ type: 'webhook.test', test: true, id: sent.id })

  const messageId = encodeId('WebhookMessage', await world.publishUpdate())
  await receiver.waitFor(2)
  const variables = { messageId, endpointId: webhookEndpoint.id }
  const resend =
    'mutation ($messageId: ID!, $endpointId: ID!) { resendWebhookMessage(input: {messageId: $messageId, endpointId: $endpointId}) { webhookMessage { id } } }'
  expect((await data(resend, variables)).resendWebhookMessage.webhookMessage.id).toBe(messageId)
  await receiver.waitFor(3)
  const attempts = `query ($messageId: ID!, $endpointId: ID!) { webhookAttempts(messageId: $messageId, endpointId: $endpointId, statusClass: 2, first: 10) {
      totalCount nodes { id number trigger requestId message { id eventType } } } }`
  const list = await until('both are recorded', async () => {
    const found = (await data(attempts, variables)).webhookAttempts
    return found.totalCount === 2 && found.nodes.length === 2 ? found : null
  })
  expect(list.nodes).toMatchObject([
    { number: 2, trigger: 'MANUAL', requestId: 'request-1', message: { id: messageId } },
    { number: 1, trigger: 'AUTOMATIC', requestId: 'request-1' },
  ])

  for (const command of ['recoverWebhookMessages', 'replayMissingWebhookMessages']) {
    const { operation } = (
      await data(
        `mutation ($endpointId: ID!, $since: DateTime!) { ${command}(input: {endpointId: $endpointId, since: $since}) { operation { id type status stepsCompleted } } }`,
        { endpointId: webhookEndpoint.id, since: '2020-01-01T00:00:00Z' },
      )
    )[command]
    expect(operation).toMatchObject({ id: expect.stringMatching(/^op_/), type: command, stepsCompleted: 0 })
    const read =
      'query ($id: ID!) { operation(id: $id) { status totalSteps stepsCompleted startedAt finishedAt error } node(id: $id) { __typename } }'
    const done = await until('it ends', async () => {
      const found = await data(read, { id: operation.id })
      return found.operation.status === 'COMPLETED' ? found : null
    })
    expect(done).toMatchObject({ node: { __typename: 'Operation' }, operation: { error: null, finishedAt: expect.any(String) } })
    const stranger = await query(read, { id: operation.id }, await createOrganization(world.app))
    expect(stranger.data).toEqual({ operation: null, node: null })
  }

  const expunge = 'mutation ($messageId: ID!) { expungeWebhookMessage(input: {messageId: $messageId}) { webhookMessage { id payload } } }'
  expect((await data(expunge, { messageId })).expungeWebhookMessage.webhookMessage).toEqual({ id: messageId, payload: null })
})

it('IDs of another organization are not_found in every call', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await create({ url: receiver.url })
  const messageId = encodeId('WebhookMessage', await world.publishUpdate())
  await receiver.waitFor(1)
  const stranger = await createOrganization(world.app)
  const calls = [
    'rotateWebhookSecret(input: {id: $endpointId}) { secret }',
    'sendTestWebhook(input: {endpointId: $endpointId}) { webhookMessage { id } }',
    'resendWebhookMessage(input: {messageId: $messageId, endpointId: $endpointId}) { webhookMessage { id } }',
    'recoverWebhookMessages(input: {endpointId: $endpointId, since: "2020-01-01T00:00:00Z"}) { operation { id } }',
    'replayMissingWebhookMessages(input: {endpointId: $endpointId, since: "2020-01-01T00:00:00Z"}) { operation { id } }',
    'expungeWebhookMessage(input: {messageId: $messageId}) { webhookMessage { id } }',
  ]
  for (const call of calls) {
    const declared = ['$endpointId', '$messageId'].filter((name) => call.includes(name)).map((name) => `${name}: ID!`)
    const variables = { endpointId: webhookEndpoint.id, messageId }
    const { errors } = await query(`mutation (${declared.join(', ')}) { ${call} }`, variables, stranger)
    expect({ call, code: (errors?.[0] as unknown as { originalError?: { code: string } } | undefined) && errors!.length }).toEqual({
      call,
      code: 1,
    })
    expect(errors![0]!.message).toBe('The object does not exist.')
  }
})

it('the subscription to attempts sends each one soon after it ended, and resumes after a cursor', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await create({ url: receiver.url })
  const live = async (after: string | null) => {
    const gone = new AbortController()
    const contextValue = createGraphqlContext(world.request(), gone.signal)
    const document = parse(
      'subscription ($id: ID!, $after: String) { webhookAttempts(endpointId: $id, after: $after) { id number responseStatus message { id } } }',
    )
    const source = await subscribe({ schema, document, variableValues: { id: webhookEndpoint.id, after }, contextValue })
    if (!(Symbol.asyncIterator in source)) throw new Error(JSON.stringify(source))
    const next = async () => {
      const { value } = await source.next()
      return (value as unknown as { data: { webhookAttempts: { id: string; message: { id: string } } } }).data.webhookAttempts
    }
    return {
      next,
      end: async () => {
        gone.abort()
        await source.return()
      },
    }
  }
  const view = await live(null)
  const waiting = view.next()
  const published: string[] = []
  for (let n = 0; n < 3; n++) published.push(encodeId('WebhookMessage', await world.publishUpdate()))
  const seen = [await waiting, await view.next(), await view.next()]
  expect(seen.map(({ message }) => message.id).toSorted()).toEqual(published.toSorted())
  await view.end()
  const again = await live(seen[0]!.id)
  const rest = [await again.next(), await again.next()]
  expect(rest.map(({ id }) => id)).toEqual(seen.slice(1).map(({ id }) => id))
  await again.end()
  const { errors } = await query('query { webhookAttempts(after: "nonsense") { nodes { id } } }')
  expect(errors).toHaveLength(1)
})

it('the metrics page reports the queue, the lag and disabled endpoints', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await create({ url: receiver.url })
  await world.publishUpdate()
  await settled(
    world.app,
    (await (await world.app.db.prismaClient()).webhookEndpoint.findFirstOrThrow({ where: { url: receiver.url } })).id,
  )
  await data('mutation ($id: ID!) { updateWebhookEndpoint(input: {id: $id, disabled: true}) { webhookEndpoint { id } } }', {
    id: webhookEndpoint.id,
  })
  const server = await createApp({ app: world.app, schema })
  const { body } = await server.inject('/metrics')
  await server.close()
  expect(body).toMatch(/quayside_webhook_queue_depth\{state="due"\} \d+/)
  expect(body).toMatch(/quayside_webhook_oldest_due_seconds \d/)
  expect(body).toMatch(/quayside_webhook_lag_seconds\{kind="fresh",quantile="0.99"\} \d/)
  expect(body).toMatch(/quayside_webhook_recent_attempts\{class="none"\} \d+/)
  expect(body).toMatch(/quayside_webhook_disabled_endpoints [1-9]/)
})
