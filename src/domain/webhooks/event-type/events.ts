import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

/** Sent by hand alone. */
export const webhookTest = defineEvent({
  type: 'webhook.test',
  version: 1,
  description: 'A test sent manually to check a webhook endpoint. Nothing has changed.',
  subject: 'WebhookEndpoint',
  schema: z.object({ message: z.string().describe('A short text.') }),
  sample: { message: 'It works.' },
})
