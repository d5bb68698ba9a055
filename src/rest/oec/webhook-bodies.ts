/** Schemas of the bodies of webhooks, their deliveries and API keys, and how rows become bodies. */
import { z } from 'zod'
import type { EndpointDelivery, EndpointOverview } from '../../domain/webhooks/attempt/index.ts'
import { encodeId } from '../../platform/id.ts'
import type { Named } from '../core/index.ts'
import { idOf, idOrNull, listOf, time, timeOf, timeOrNull, words } from './field.ts'
import { deliveryWords, eventWordOf, formatWords } from './vocabulary.ts'

const webhook = z
  .object({
    id: idOf('wh'),
    url: z.string().describe('URL that events are sent to.'),
    events: z.array(z.string()).describe('Events that the webhook receives. Empty means all.'),
    description: z.string().nullable(),
    project_id: idOf('proj').nullable().describe('ID of the only project whose events are sent. Null means all projects.'),
    format: words(formatWords).describe(
      'Format of the request body. Webhooks that were created with GraphQL can have `graphql` or `email`.',
    ),
    is_active: z.boolean().describe('Whether events are sent.'),
    last_triggered_at: time.nullable().describe('Time of the last delivery attempt.'),
    failure_count: z.int().min(0).describe('Number of attempts that failed since one succeeded, up to 100.'),
    created_at: time,
  })
  .describe('A webhook.')

const secret = z
  .string()
  .nullable()
  .describe('Signing secret of Standard Webhooks. Returned only once; null in a repeated response to the same idempotency key.')

const webhookWithSecret = webhook.extend({ secret }).describe('A webhook with its new signing secret.')

const delivery = z
  .object({
    id: idOf('evt').describe('ID of the message, which the header `webhook-id` of the request contains.'),
    webhook_id: idOf('wh'),
    event: z.string(),
    status: words(deliveryWords),
    attempts: z.int().min(0).describe('Number of attempts so far.'),
    response_status: z.int().nullable().describe('HTTP status of the response to the last attempt. Null without a response.'),
    duration_ms: z.int().nullable().describe('Duration of the last attempt in milliseconds.'),
    error_message: z.string().nullable().describe('Reason that the delivery ended, or is put off.'),
    last_attempt_at: time.nullable(),
    next_attempt_at: time.nullable().describe('Time of the next attempt. Null if there is none.'),
    created_at: time,
  })
  .describe('Delivery of an event to a webhook.')

export const webhookSchemas = {
  webhook,
  webhookWithSecret,
  webhookList: listOf(webhook).describe('A page of webhooks, oldest first.'),
  delivery,
  deliveryList: listOf(delivery).describe('A page of deliveries, newest first.'),
}

export const webhookBodies: Named[] = [
  { id: 'Webhook', schema: webhook },
  { id: 'WebhookWithSecret', schema: webhookWithSecret },
  { id: 'WebhookList', schema: webhookSchemas.webhookList },
  { id: 'WebhookDelivery', schema: delivery },
  { id: 'WebhookDeliveryList', schema: webhookSchemas.deliveryList },
]

export type WebhookRow = {
  id: string
  url: string
  eventTypes: string[]
  description: string | null
  projectId: string | null
  format: keyof typeof formatWords
  disabledAt: Date | null
  createdAt: Date
}

export const webhookBody = (row: WebhookRow, seen: EndpointOverview | undefined): z.output<typeof webhook> => ({
  id: encodeId('WebhookEndpoint', row.id),
  url: row.url,
  events: row.eventTypes.map(eventWordOf),
  description: row.description,
  project_id: idOrNull('Project', row.projectId),
  format: formatWords[row.format],
  is_active: row.disabledAt === null,
  last_triggered_at: timeOrNull(seen?.lastAttemptAt ?? null),
  failure_count: seen?.failuresInARow ?? 0,
  created_at: timeOf(row.createdAt),
})

export const deliveryBody = (row: EndpointDelivery): z.output<typeof delivery> => ({
  id: encodeId('WebhookMessage', row.messageId),
  webhook_id: encodeId('WebhookEndpoint', row.endpointId),
  event: eventWordOf(row.eventType),
  status: deliveryWords[row.status],
  attempts: row.attemptCount,
  response_status: row.responseStatus,
  duration_ms: row.durationMs,
  error_message: row.reason,
  last_attempt_at: timeOrNull(row.lastAttemptAt),
  next_attempt_at: timeOrNull(row.nextAttemptAt),
  created_at: timeOf(row.createdAt),
})

type TestRow = { webhookMessage: { id: string; eventType: string; createdAt: Date }; webhookEndpoint: { id: string } }

/** The delivery of a test that was just queued. */
export const testDeliveryBody = ({ webhookMessage, webhookEndpoint }: TestRow): z.output<typeof delivery> =>
  deliveryBody({
    endpointId: webhookEndpoint.id,
    messageId: webhookMessage.id,
    eventType: webhookMessage.eventType,
    createdAt: webhookMessage.createdAt,
    nextAttemptAt: webhookMessage.createdAt,
    ...{ status: 'PENDING', attemptCount: 0, reason: null, responseStatus: null, durationMs: null, lastAttemptAt: null },
  })
