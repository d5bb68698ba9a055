import { z } from 'zod'
import { endpointOverviews, sliceEndpointDeliveries } from '../../../domain/webhooks/attempt/index.ts'
import { sendTestWebhook } from '../../../domain/webhooks/delivery/index.ts'
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  findWebhookEndpoint,
  rotateWebhookSecret,
  sliceWebhookEndpoints,
  updateWebhookEndpoint,
} from '../../../domain/webhooks/endpoint/index.ts'
import { absent } from '../../../platform/wording.ts'
import { commandRow, queryRow, type Route, type Source, type Sources, type View } from '../../core/index.ts'
import { defaultPageSize, pageOf } from '../field.ts'
import { eventTypeOf, eventWords, formats } from '../vocabulary.ts'
import { deliveryBody, testDeliveryBody, type WebhookRow, webhookBody, webhookSchemas } from '../webhook-bodies.ts'

const tag = 'Webhooks'
const path = '/webhooks/{webhook_id}'
const params = { webhook_id: 'id' }

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
  project_id: { to: 'projectId', schema: z.string().nullable(), description: 'Send only events of this project. Null means all projects.' },
  format: {
    to: 'format',
    words: formats,
    schema: z.enum(Object.values(formats)),
    description: 'Format of the request body.',
  },
  is_active: {
    to: 'disabled',
    read: (value) => (typeof value === 'boolean' ? !value : value),
    schema: z.boolean(),
    description: 'Whether to send events.',
  },
}

async function bodiesOf(rows: readonly WebhookRow[], { ask }: View) {
  const overviews = await ask(endpointOverviews, { ids: rows.map(({ id }) => id) })
  return rows.map((row) => webhookBody(row, overviews.get(row.id)))
}

const oneBody = async (row: WebhookRow, view: View) => (await bodiesOf([row], view))[0]!

/** Response of a command that returns a new secret. */
const withSecret = {
  schema: webhookSchemas.webhookWithSecret,
  reply: async ({ webhookEndpoint, secret }: { webhookEndpoint: WebhookRow; secret: string | null }, view: View) => ({
    ...(await oneBody(webhookEndpoint, view)),
    secret,
  }),
  version: ({ webhookEndpoint }: { webhookEndpoint: { version: number } }) => webhookEndpoint.version,
}

export const webhookRoutes: Route[] = [
  queryRow({
    id: 'listWebhooks',
    method: 'GET',
    path: '/webhooks',
    tag,
    summary: 'List webhooks',
    read: sliceWebhookEndpoints,
    page: { size: defaultPageSize },
    status: 200,
    schema: webhookSchemas.webhookList,
    reply: async (slice, view) => pageOf(slice, await bodiesOf(slice.rows, view)),
  }),
  commandRow({
    id: 'createWebhook',
    method: 'POST',
    path: '/webhooks',
    tag,
    summary: 'Create a webhook',
    description:
      'Requests are signed according to Standard Webhooks, with the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. In the format `raw`, their body is `{event, timestamp, data}`.',
    command: createWebhookEndpoint,
    body: { ...settings, events: { ...events, required: true }, format: { ...(settings.format as Source), fallback: 'raw' } },
    status: 201,
    ...withSecret,
  }),
  queryRow({
    id: 'getWebhook',
    method: 'GET',
    path,
    tag,
    summary: 'Retrieve a webhook',
    read: findWebhookEndpoint,
    params,
    status: 200,
    schema: webhookSchemas.webhook,
    reply: oneBody,
    version: ({ version }) => version,
  }),
  commandRow({
    id: 'updateWebhook',
    method: 'PATCH',
    path,
    tag,
    summary: 'Update a webhook',
    description: 'Omitted fields keep their value. A webhook that is made active again receives events that occur from then on.',
    command: updateWebhookEndpoint,
    params,
    body: settings,
    status: 200,
    schema: webhookSchemas.webhook,
    reply: ({ webhookEndpoint }, view) => oneBody(webhookEndpoint, view),
    version: ({ webhookEndpoint }) => webhookEndpoint.version,
  }),
  commandRow({
    id: 'deleteWebhook',
    method: 'DELETE',
    path,
    tag,
    summary: 'Delete a webhook',
    description: 'Pending deliveries are cancelled.',
    command: deleteWebhookEndpoint,
    params,
    status: 204,
  }),
  commandRow({
    id: 'testWebhook',
    method: 'POST',
    path: `${path}/test`,
    tag,
    summary: 'Send a test event',
    description: 'Sends the sample of an event once. The list of deliveries shows the result.',
    command: sendTestWebhook,
    params: { webhook_id: 'endpointId' },
    body: { event: { to: 'eventType', read: eventTypeOf, schema: z.enum(eventWords), description: 'Event whose sample is sent.' } },
    status: 202,
    schema: webhookSchemas.delivery,
    reply: testDeliveryBody,
  }),
  commandRow({
    id: 'rotateWebhookSecret',
    method: 'POST',
    path: `${path}/rotate-secret`,
    tag,
    summary: 'Rotate the signing secret',
    description: 'The former secret stops signing immediately, also for retries.',
    command: rotateWebhookSecret,
    params,
    fixed: { graceMs: 0 },
    status: 200,
    ...withSecret,
  }),
  queryRow({
    id: 'listWebhookDeliveries',
    method: 'GET',
    path: `${path}/deliveries`,
    tag,
    summary: 'List deliveries of a webhook',
    read: sliceEndpointDeliveries,
    params: { webhook_id: 'endpointId' },
    page: { size: defaultPageSize },
    status: 200,
    schema: webhookSchemas.deliveryList,
    reply: (slice) =>
      pageOf(
        slice,
        slice.rows.map((row) => deliveryBody(row)),
      ),
  }),
]
