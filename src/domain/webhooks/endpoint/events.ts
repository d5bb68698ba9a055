import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

/** Without the URL, because the URL of a chat service is itself a secret. */
const payload = z.object({
  webhookEndpointId: z.string().describe('ID of the webhook endpoint.'),
  description: z.string().nullable().describe('Description of the endpoint.'),
  eventTypes: z.array(z.string()).describe('Event types that the endpoint receives. Empty means all types.'),
  projectId: z.string().nullable().describe('ID of the only project whose events the endpoint receives. Null means all projects.'),
  disabled: z.boolean().describe('Whether the endpoint is disabled.'),
  disabledReason: z.string().nullable().describe('Reason that the endpoint is disabled. Null if it is enabled.'),
})
const sample = {
  webhookEndpointId: 'wh_01h455vb4pex5vsknk084sn02q',
  description: 'chat',
  eventTypes: ['deployment.*'],
  projectId: null,
  disabled: false,
  disabledReason: null,
}

export const webhookEndpointCreated = defineEvent({
  type: 'webhook_endpoint.created',
  version: 1,
  description: 'A webhook endpoint was created.',
  subject: 'WebhookEndpoint',
  schema: payload,
  sample,
})

export const webhookEndpointUpdated = defineEvent({
  type: 'webhook_endpoint.updated',
  version: 1,
  description: 'A webhook endpoint was updated, enabled or disabled, or its signing key was rotated.',
  subject: 'WebhookEndpoint',
  schema: payload,
  sample,
})

export const webhookEndpointDeleted = defineEvent({
  type: 'webhook_endpoint.deleted',
  version: 1,
  description: 'A webhook endpoint was deleted. Its pending deliveries are cancelled.',
  subject: 'WebhookEndpoint',
  schema: payload,
  sample,
})

const about = {
  webhookEndpointId: z.string().describe('ID of the webhook endpoint.'),
  description: z.string().nullable().describe('Description of the endpoint.'),
}
const aboutSample = { webhookEndpointId: sample.webhookEndpointId, description: sample.description }

/** The health of deliveries. Sent like any event, but never to the endpoint concerned, and their own deliveries cause no such events. */
export const webhookEndpointFailing = defineEvent({
  type: 'webhook_endpoint.failing',
  version: 1,
  description:
    'A webhook endpoint has accepted no message for a long time and will be disabled if this continues. Sent once for each such period.',
  subject: 'WebhookEndpoint',
  schema: z.object({
    ...about,
    failingSince: z.string().describe('Time of the first failure since the endpoint last accepted a message.'),
    disabledFrom: z.string().describe('Time from which another failure disables the endpoint.'),
  }),
  sample: { ...aboutSample, failingSince: '2026-01-01T00:00:00.000Z', disabledFrom: '2026-01-06T00:00:00.000Z' },
})

export const webhookEndpointExhausted = defineEvent({
  type: 'webhook_endpoint.exhausted',
  version: 1,
  description: 'All attempts to deliver a message to a webhook endpoint failed.',
  subject: 'WebhookEndpoint',
  schema: z.object({
    ...about,
    messageId: z.string().describe('ID of the message, which is the ID of its event.'),
    eventType: z.string().describe('Type of the event.'),
    attemptCount: z.number().int().describe('Number of attempts.'),
    reason: z.string().nullable().describe('Reason for the last failure.'),
  }),
  sample: {
    ...aboutSample,
    messageId: 'evt_01h455vb4pex5vsknk084sn02q',
    eventType: 'project.updated',
    attemptCount: 8,
    reason: 'The receiver answered 500. That was the last of 8 attempts.',
  },
})

export const webhookEndpointRecovered = defineEvent({
  type: 'webhook_endpoint.recovered',
  version: 1,
  description: 'A webhook endpoint that was reported as failing has accepted a message again.',
  subject: 'WebhookEndpoint',
  schema: z.object({ ...about, failingSince: z.string().describe('Time of the first failure of the period that has ended.') }),
  sample: { ...aboutSample, failingSince: '2026-01-01T00:00:00.000Z' },
})

export const webhookEndpointDisabled = defineEvent({
  type: 'webhook_endpoint.disabled',
  version: 1,
  description:
    'A webhook endpoint was disabled: manually, by its receiver, or because it accepted no message for too long. Messages that it misses are skipped and can be replayed.',
  subject: 'WebhookEndpoint',
  schema: z.object({ ...about, reason: z.string().describe('Reason that the endpoint was disabled.') }),
  sample: { ...aboutSample, reason: 'The receiver answered 410 Gone.' },
})

/** Types that are not sent to the endpoint concerned. */
export const operationalTypes: readonly string[] = [
  webhookEndpointFailing,
  webhookEndpointExhausted,
  webhookEndpointRecovered,
  webhookEndpointDisabled,
].map(({ type }) => type)
