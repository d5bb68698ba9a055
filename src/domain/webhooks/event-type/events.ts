import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'

/** Sent by hand alone. */
export const webhookTest = defineEvent({
  type: 'webhook.test',
  version: 1,
  description: 'A test that somebody sent by hand to see whether an endpoint works. Nothing has happened.',
  subject: 'WebhookEndpoint',
  schema: z.object({ message: z.string().describe('A greeting.') }),
  sample: { message: 'It works.' },
})
