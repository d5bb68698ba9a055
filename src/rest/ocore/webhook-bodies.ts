/** Schemas of the bodies of webhook endpoints and their deliveries, and how rows become bodies. */
import { z } from 'zod'
import type { EndpointDelivery } from '../../domain/webhooks/attempt/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf, timeOrNull, words } from './field.ts'
import { listOf } from './page.ts'
import { deliveryWords } from './vocabulary.ts'
import { eventWordOf } from './webhook-events.ts'

const endpoint = z
  .object({
    id,
    url: z.string().describe('URL that events are sent to.'),
    events: z.array(z.string()).describe('Events that the endpoint receives. Empty means all.'),
    description: z.string().nullable(),
    active: z.boolean().describe('Whether events are sent.'),
    secret: z.literal(true).describe('Whether requests are signed. Always true.'),
    createdAt: time,
    updatedAt: time,
  })
  .describe('A webhook endpoint.')

const newEndpoint = endpoint
  .extend({
    signingSecret: z
      .string()
      .nullable()
      .describe(
        'Generated signing secret of Standard Webhooks. Returned only once; null with a secret of your own, and in a repeated response to the same idempotency key.',
      ),
  })
  .describe('A webhook endpoint with its signing secret.')

const delivery = z
  .object({
    id: id.describe('ID of the message. The header `webhook-id` of the request contains it in another form.'),
    endpointId: id,
    event: z.string(),
    status: words(deliveryWords),
    attempts: z.int().min(0).describe('Number of attempts so far.'),
    responseStatus: z.int().nullable().describe('HTTP status of the response to the last attempt. Null without a response.'),
    durationMs: z.int().nullable().describe('Duration of the last attempt in milliseconds.'),
    errorMessage: z.string().nullable().describe('Reason that the delivery ended, or is put off.'),
    lastAttemptAt: time.nullable(),
    nextAttemptAt: time.nullable().describe('Time of the next attempt. Null if there is none.'),
    createdAt: time,
  })
  .describe('Delivery of an event to a webhook endpoint.')

export const webhookSchemas = {
  endpoint,
  newEndpoint,
  endpointList: listOf(endpoint).describe('A page of webhook endpoints, oldest first.'),
  deliveryList: listOf(delivery).describe('A page of deliveries, newest first.'),
}

export const webhookBodies: Named[] = [
  { id: 'WebhookEndpoint', schema: endpoint },
  { id: 'NewWebhookEndpoint', schema: newEndpoint },
  { id: 'WebhookEndpointList', schema: webhookSchemas.endpointList },
  { id: 'WebhookDelivery', schema: delivery },
  { id: 'WebhookDeliveryList', schema: webhookSchemas.deliveryList },
]

export type EndpointRow = {
  id: string
  url: string
  eventTypes: string[]
  description: string | null
  disabledAt: Date | null
  createdAt: Date
  updatedAt: Date
}

export const endpointBody = (row: EndpointRow): z.output<typeof endpoint> => ({
  id: row.id,
  url: row.url,
  events: row.eventTypes.map(eventWordOf),
  description: row.description,
  active: row.disabledAt === null,
  secret: true,
  createdAt: timeOf(row.createdAt),
  updatedAt: timeOf(row.updatedAt),
})

export const deliveryBody = (row: EndpointDelivery): z.output<typeof delivery> => ({
  id: row.messageId,
  endpointId: row.endpointId,
  event: eventWordOf(row.eventType),
  status: deliveryWords[row.status],
  attempts: row.attemptCount,
  responseStatus: row.responseStatus,
  durationMs: row.durationMs,
  errorMessage: row.reason,
  lastAttemptAt: timeOrNull(row.lastAttemptAt),
  nextAttemptAt: timeOrNull(row.nextAttemptAt),
  createdAt: timeOf(row.createdAt),
})
