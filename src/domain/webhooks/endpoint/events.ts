import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

/** Without the URL: that of a chat service is a secret in itself. */
const payload = z.object({
  webhookEndpointId: z.string().describe('The endpoint.'),
  description: z.string().nullable().describe('What it is for.'),
  eventTypes: z.array(z.string()).describe('The types that it is sent; none: all.'),
  projectId: z.string().nullable().describe('The only project whose events it is sent; null: all of them.'),
  disabled: z.boolean().describe('Whether it is disabled.'),
  disabledReason: z.string().nullable().describe('Why.'),
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
  description: 'A webhook endpoint was made. It is itself sent only what happens after this.',
  subject: 'WebhookEndpoint',
  schema: payload,
  sample,
})

export const webhookEndpointUpdated = defineEvent({
  type: 'webhook_endpoint.updated',
  version: 1,
  description: 'A webhook endpoint was changed, enabled or disabled.',
  subject: 'WebhookEndpoint',
  schema: payload,
  sample,
})

export const webhookEndpointDeleted = defineEvent({
  type: 'webhook_endpoint.deleted',
  version: 1,
  description: 'A webhook endpoint was deleted; what was still to be sent to it is cancelled.',
  subject: 'WebhookEndpoint',
  schema: payload,
  sample,
})

const about = {
  webhookEndpointId: z.string().describe('The endpoint.'),
  description: z.string().nullable().describe('What it is for.'),
}
const aboutSample = { webhookEndpointId: sample.webhookEndpointId, description: sample.description }

/** How delivering goes. They are sent like any event, but never to the endpoint that they speak of, and cause none of their kind. */
export const webhookEndpointFailing = defineEvent({
  type: 'webhook_endpoint.failing',
  version: 1,
  description: 'A webhook endpoint has accepted nothing for long and will be disabled if that goes on. Told once for each such time.',
  subject: 'WebhookEndpoint',
  schema: z.object({
    ...about,
    failingSince: z.string().describe('The first failure since it last accepted anything.'),
    disabledFrom: z.string().describe('A failure after this disables it.'),
  }),
  sample: { ...aboutSample, failingSince: '2026-01-01T00:00:00.000Z', disabledFrom: '2026-01-06T00:00:00.000Z' },
})

export const webhookEndpointExhausted = defineEvent({
  type: 'webhook_endpoint.exhausted',
  version: 1,
  description: 'Every try to deliver a message to a webhook endpoint failed.',
  subject: 'WebhookEndpoint',
  schema: z.object({
    ...about,
    messageId: z.string().describe('The message, by the id of its event.'),
    eventType: z.string().describe('The type of its event.'),
    attemptCount: z.number().int().describe('How many tries there were.'),
    reason: z.string().nullable().describe('How the last one failed.'),
  }),
  sample: {
    ...aboutSample,
    messageId: 'evt_01h455vb4pex5vsknk084sn02q',
    eventType: 'project.updated',
    attemptCount: 8,
    reason: 'The receiver answered 500. That was the last of 8 tries.',
  },
})

export const webhookEndpointRecovered = defineEvent({
  type: 'webhook_endpoint.recovered',
  version: 1,
  description: 'A webhook endpoint that was told to be failing has accepted a message again.',
  subject: 'WebhookEndpoint',
  schema: z.object({ ...about, failingSince: z.string().describe('Since when it had been failing.') }),
  sample: { ...aboutSample, failingSince: '2026-01-01T00:00:00.000Z' },
})

export const webhookEndpointDisabled = defineEvent({
  type: 'webhook_endpoint.disabled',
  version: 1,
  description:
    'A webhook endpoint was disabled, by its receiver, by hand or because it only failed. What it misses is skipped and can be replayed.',
  subject: 'WebhookEndpoint',
  schema: z.object({ ...about, reason: z.string().describe('Why.') }),
  sample: { ...aboutSample, reason: 'The receiver answered 410 Gone.' },
})

/** Not sent to the endpoint that they speak of. */
export const operationalTypes: readonly string[] = [
  webhookEndpointFailing,
  webhookEndpointExhausted,
  webhookEndpointRecovered,
  webhookEndpointDisabled,
].map(({ type }) => type)
