/** Webhooks: signing, retries, secret rotation, replay and payload formats. Its events are changes of the project's description. */
import { Webhook } from 'svix'
import { type Receiver, type ReceiverScript, startReceiver } from '../../../test/support/receiver.ts'
import { ensure } from './report.ts'
import { type Chapter, type Stage, until, verified } from './stage.ts'

export const chapter: Chapter = {
  about: 'signed delivery, a failing receiver that recovers, rotation, skipped events replayed, a selection',
  parts: (stage) => [
    { name: 'Signed delivery', show: () => deliver(stage) },
    { name: 'Failing, then recovering', show: () => recover(stage) },
    { name: 'Rotation', show: () => rotate(stage) },
    { name: 'Skipped, then replayed', show: () => replay(stage) },
    { name: 'Selection', show: () => select(stage) },
  ],
}

type Endpoint = { id: string; secret: string; receiver: Receiver }

/** Creates a receiver and an endpoint for `project.updated`, both removed at the end of the demo. */
async function openEndpoint({ client, undo, projectId }: Stage, input: object = {}, script?: ReceiverScript): Promise<Endpoint> {
  const receiver = await startReceiver({ script })
  undo.push(() => receiver.close())
  const { createWebhookEndpoint } = await client.ask<{ createWebhookEndpoint: { webhookEndpoint: { id: string }; secret: string } }>(
    'mutation ($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) { webhookEndpoint { id } secret } }',
    { input: { url: `${receiver.url}/hook`, projectId, eventTypes: ['project.updated'], retryScheduleMs: [200, 300, 400], ...input } },
  )
  const { id } = createWebhookEndpoint.webhookEndpoint
  undo.push(() => client.ask('mutation ($id: ID!) { deleteWebhookEndpoint(input: { id: $id }) { deletedId } }', { id }))
  return { id, secret: createWebhookEndpoint.secret, receiver }
}

/** Causes one event `project.updated`. */
const change = ({ client, projectId }: Stage, description: string) =>
  client.ask('mutation ($input: UpdateProjectInput!) { updateProject(input: $input) { project { id } } }', {
    input: { id: projectId, description },
  })

async function deliver(stage: Stage): Promise<string> {
  const { id, secret, receiver } = await openEndpoint(stage)
  await change(stage, 'Signed')
  const [request] = await receiver.waitFor(1)
  const message = verified(request!, secret)
  stage.report.say(`  ${message.type} ${message.id}, signed ${request!.headers['webhook-signature']}`)
  const forged = { ...request!, body: Buffer.concat([request!.body, Buffer.from(' ')]) }
  ensure(!isGenuine(() => verified(forged, secret)), 'A forged body passes verification.')
  ensure(!isGenuine(() => verified(request!, stage.secret)), "Another endpoint's secret verifies.")

  await stage.client.ask('mutation ($id: ID!) { sendTestWebhook(input: { endpointId: $id }) { webhookMessage { id } } }', { id })
  const [, test] = await receiver.waitFor(2)
  ensure(verified(test!, secret).type === 'webhook.test', 'The test event has the wrong type.')
  return 'verified by svix; a forged body and a foreign secret are refused'
}

function isGenuine(verify: () => unknown): boolean {
  try {
    verify()
    return true
  } catch {
    return false
  }
}

type Delivery = { endpointId: string; status: string; attemptCount: number }

async function recover(stage: Stage): Promise<string> {
  const { id, secret, receiver } = await openEndpoint(stage, {}, (_request, n) => ({ status: n <= 2 ? 503 : 204 }))
  await change(stage, 'Retried')
  const requests = await receiver.waitFor(3)
  const ids = new Set(requests.map((request) => verified(request, secret).id))
  ensure(ids.size === 1, 'The attempts have different ids.')
  const [messageId] = ids
  const ask = async () => {
    const { webhookMessage } = await stage.client.ask<{
      webhookMessage: { deliveries: Delivery[]; attempts: { nodes: { number: number; responseStatus: number; durationMs: number }[] } }
    }>(
      `query ($id: ID!, $endpointId: ID!) { webhookMessage(id: $id) {
        deliveries { endpointId status attemptCount }
        attempts(endpointId: $endpointId, first: 10) { nodes { number responseStatus durationMs } }
      } }`,
      { id: messageId, endpointId: id },
    )
    return webhookMessage
  }
  const isDelivered = ({ deliveries }: { deliveries: Delivery[] }) =>
    deliveries.some(({ endpointId, status }) => endpointId === id && status === 'DELIVERED')
  await until('the delivery counts as done', async () => isDelivered(await ask()))
  const attempts = (await ask()).attempts.nodes.toSorted((a, b) => a.number - b.number)
  for (const { number, responseStatus, durationMs } of attempts)
    stage.report.say(`  attempt ${number}: ${responseStatus} in ${durationMs} ms`)
  const statuses = attempts.map(({ responseStatus }) => responseStatus).join(' ')
  ensure(statuses === '503 503 204', `The recorded attempts are ${statuses}.`)
  return `${attempts.length} attempts (${statuses}), one id, each verified`
}

async function rotate(stage: Stage): Promise<string> {
  const { id, secret, receiver } = await openEndpoint(stage)
  const { rotateWebhookSecret } = await stage.client.ask<{ rotateWebhookSecret: { secret: string } }>(
    'mutation ($input: RotateWebhookSecretInput!) { rotateWebhookSecret(input: $input) { secret } }',
    { input: { id, graceMs: 60_000 } },
  )
  await change(stage, 'Rotated')
  const [request] = await receiver.waitFor(1)
  const signatures = String(request!.headers['webhook-signature']).split(' ')
  for (const key of [secret, rotateWebhookSecret.secret]) verified(request!, key)
  ensure(signatures.length === 2, `There are ${signatures.length} signatures in the overlap.`)
  const alone = { ...headersOf(request!.headers), 'webhook-signature': signatures[0]! }
  new Webhook(rotateWebhookSecret.secret).verify(request!.body, alone)
  return 'two signatures in the overlap, the new one first; old and new secret verify'
}

const headersOf = (headers: object) => headers as Record<string, string>

async function replay(stage: Stage): Promise<string> {
  const { client, report } = stage
  const { id, secret, receiver } = await openEndpoint(stage)
  const since = new Date().toISOString()
  const disable = (disabled: boolean) =>
    client.ask('mutation ($input: UpdateWebhookEndpointInput!) { updateWebhookEndpoint(input: $input) { webhookEndpoint { id } } }', {
      input: { id, disabled },
    })
  await disable(true)
  for (const description of ['Missed 1', 'Missed 2', 'Missed 3']) await change(stage, description)
  const skipped = async () => {
    const { webhookMessages } = await client.ask<{ webhookMessages: { nodes: { id: string }[] } }>(
      'query ($id: ID!) { webhookMessages(endpointId: $id, status: SKIPPED, first: 10) { nodes { id } } }',
      { id },
    )
    return webhookMessages.nodes.map((message) => message.id)
  }
  await until('three skipped messages', async () => (await skipped()).length === 3)
  const missed = await skipped()
  report.say(`  skipped: ${missed.join(', ')}`)
  await disable(false)
  ensure(receiver.requests.length === 0, 'A skipped event was sent without being asked for.')

  const { replayMissingWebhookMessages } = await client.ask<{ replayMissingWebhookMessages: { operation: { id: string } } }>(
    'mutation ($input: ReplayMissingWebhookMessagesInput!) { replayMissingWebhookMessages(input: $input) { operation { id } } }',
    { input: { endpointId: id, since } },
  )
  const requests = await receiver.waitFor(3)
  const received = new Set(requests.map((request) => verified(request, secret).id))
  ensure(
    missed.every((message) => received.has(message)),
    'Other messages were replayed than were skipped.',
  )
  await until('the replay counts as done', async () => {
    const { operation } = await client.ask<{ operation: { status: string } }>('query ($id: ID!) { operation(id: $id) { status } }', {
      id: replayMissingWebhookMessages.operation.id,
    })
    return operation.status === 'COMPLETED'
  })
  return `${missed.length} skipped while disabled, ${received.size} replayed with the same ids`
}

/** The endpoint selects fields of the event's subject with GraphQL. */
async function select(stage: Stage): Promise<string> {
  const selection = '{ ... on Project { name description environments(first: 5) { nodes { type } } } }'
  const { secret, receiver } = await openEndpoint(stage, { selection })
  await change(stage, 'Selected')
  const [request] = await receiver.waitFor(1)
  const { data } = verified(request!, secret)
  stage.report.say(`  ${selection}\n  -> ${JSON.stringify(data)}`)
  ensure(data.name === 'Quayside demo' && data.description === 'Selected', 'The payload does not match the selection.')
  return Object.keys(data).join(', ')
}
