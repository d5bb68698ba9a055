import { z } from 'zod'
import { pageEndpointDeliveries } from '../../../domain/webhooks/attempt/index.ts'
import { recoverWebhookMessages, resendWebhookMessage, sendTestWebhook } from '../../../domain/webhooks/delivery/index.ts'
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  findWebhookEndpoint,
  listWebhookEndpoints,
  updateWebhookEndpoint,
} from '../../../domain/webhooks/endpoint/index.ts'
import { absent } from '../../../platform/wording.ts'
import { commandRow, instant, queryRow, type Route, type Source, type Sources } from '../../core/index.ts'
import { accepted, done } from '../field.ts'
import { defaultPageSize, pageOf } from '../page.ts'
import { deliveryBody, endpointBody, webhookSchemas as schemas } from '../webhook-bodies.ts'
import { eventTypeOf, eventWords } from '../webhook-events.ts'

const tag = 'Webhooks'
const path = '/webhook-endpoints/{endpointId}'
const params = { endpointId: 'id' }
const ofEndpoint = { endpointId: 'endpointId' }

const events: Source = {
  to: 'eventTypes',
  read: (value) => (Array.isArray(value) ? (value.length === 0 ? absent : value.map(eventTypeOf)) : value),
  schema: z.array(z.enum(eventWords)).min(1),
  description: 'Events to send.',
}

const settings: Sources = {
  url: { to: 'url', schema: z.string(), description: 'URL to send POST requests to. Must be https.' },
  events,
  description: 'description',
  active: {
    to: 'disabled',
    read: (value) => (typeof value === 'boolean' ? !value : value),
    schema: z.boolean(),
    description: 'Whether to send events.',
  },
}

/** Response of a command that queues a message again. */
const queued = (message: string) =>
  ({
    status: 202,
    schema: accepted,
    reply: ({ webhookMessage }: { webhookMessage: { id: string } }) => ({ id: webhookMessage.id, status: 'pending', message }),
  }) as const

export const webhookEndpointRoutes: Route[] = [
  queryRow({
    id: 'listWebhookEndpoints',
    method: 'GET',
    path: '/webhook-endpoints',
    tag,
    summary: 'List webhook endpoints',
    description: 'Includes endpoints that were created through other APIs.',
    read: listWebhookEndpoints,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.endpointList,
    reply: (page) => pageOf(page, page.rows.map(endpointBody)),
  }),
  commandRow({
    id: 'createWebhookEndpoint',
    method: 'POST',
    path: '/webhook-endpoints',
    tag,
    summary: 'Create a webhook endpoint',
    description:
      'Requests have the body `{event, timestamp, data}` and are signed according to Standard Webhooks, with the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. The key of the signature is the decoded `signingSecret` or, with a secret of your own, the UTF-8 bytes of its text.',
    command: createWebhookEndpoint,
    body: {
      ...settings,
      events: { ...events, required: true },
      secret: {
        to: 'secretText',
        schema: z.string(),
        description: 'Secret of your own, 8 to 256 bytes. When omitted, one is generated. Each endpoint has its own secret.',
      },
    },
    fixed: { format: 'OCORE' },
    status: 201,
    schema: schemas.newEndpoint,
    reply: ({ webhookEndpoint, secret }) => ({ ...endpointBody(webhookEndpoint), signingSecret: secret }),
    version: ({ webhookEndpoint }) => webhookEndpoint.version,
  }),
  queryRow({
    id: 'getWebhookEndpoint',
    method: 'GET',
    path,
    tag,
    summary: 'Retrieve a webhook endpoint',
    read: findWebhookEndpoint,
    params,
    status: 200,
    schema: schemas.endpoint,
    reply: endpointBody,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'updateWebhookEndpoint',
    method: 'PATCH',
    path,
    tag,
    summary: 'Update a webhook endpoint',
    description:
      'Omitted fields keep their value. An endpoint that is made active again receives events that occur from then on. Secrets are rotated in GraphQL.',
    command: updateWebhookEndpoint,
    params,
    body: settings,
    status: 200,
    schema: schemas.endpoint,
    reply: ({ webhookEndpoint }) => endpointBody(webhookEndpoint),
    version: ({ webhookEndpoint }) => webhookEndpoint.version,
  }),
  commandRow({
    id: 'deleteWebhookEndpoint',
    method: 'DELETE',
    path,
    tag,
    summary: 'Delete a webhook endpoint',
    description: 'Pending deliveries are cancelled.',
    command: deleteWebhookEndpoint,
    params,
    ...done('Webhook endpoint deleted'),
  }),
  queryRow({
    id: 'listWebhookDeliveries',
    method: 'GET',
    path: `${path}/deliveries`,
    tag,
    summary: 'List deliveries of a webhook endpoint',
    read: pageEndpointDeliveries,
    params: ofEndpoint,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.deliveryList,
    reply({ rows, hasNextPage }) {
      const items = rows.map(deliveryBody)
      return pageOf({ rows: items, hasNextPage }, items)
    },
  }),
  commandRow({
    id: 'replayWebhookDelivery',
    method: 'POST',
    path: `${path}/deliveries/{deliveryId}/replay`,
    tag,
    summary: 'Send an event again',
    description: 'Sends the same message immediately, with the same `webhook-id`. One whose payload has expired answers 422.',
    command: resendWebhookMessage,
    params: { ...ofEndpoint, deliveryId: 'messageId' },
    ...queued('Delivery queued'),
  }),
  commandRow({
    id: 'replayWebhookEndpoint',
    method: 'POST',
    path: `${path}/replay`,
    tag,
    summary: 'Send the events again whose delivery failed',
    description: 'Works in the background. `id` is that of an operation in GraphQL.',
    command: recoverWebhookMessages,
    params: ofEndpoint,
    body: {
      since: { ...instant('since', 'Only events of this time or later.'), required: true },
      until: instant('until', 'Only events before this time. Defaults to now.'),
    },
    status: 202,
    schema: accepted,
    reply: ({ operation }) => ({ id: operation.id, status: 'pending', message: 'Replay queued' }),
  }),
  commandRow({
    id: 'testWebhookEndpoint',
    method: 'POST',
    path: `${path}/test`,
    tag,
    summary: 'Send a test event',
    description: 'Sends the sample of an event once. The list of deliveries shows the result.',
    command: sendTestWebhook,
    params: ofEndpoint,
    body: { event: { to: 'eventType', read: eventTypeOf, schema: z.enum(eventWords), description: 'Event whose sample is sent.' } },
    ...queued('Test queued'),
  }),
]
