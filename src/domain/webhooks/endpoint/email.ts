/** Endpoints for the events of an email service, in the body of the e-mail contract. */
import { z } from 'zod'
import type { EmailService, WebhookEndpoint } from '../../../generated/prisma/client.ts'
import { defineCommand, demand } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { onEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Reader } from '../../../platform/listing.ts'
import { emailEventWords, emailServiceEvents, lockEmailService } from '../../resources/email/index.ts'
import { addEndpoint, problemOfUrl, remove } from './commands.ts'
import { webhookEndpointCreated, webhookEndpointDeleted } from './events.ts'
import { webhookEndpointListing } from './queries.ts'
import { urlSchema } from './settings.ts'

export const createEmailWebhook = defineCommand({
  name: 'createEmailWebhook',
  description:
    'Creates a webhook endpoint that receives events of an email service, in the format `EMAIL`. Its other settings can be changed with `updateWebhookEndpoint`. It is deleted with the email service.',
  permission: 'manage:webhooks',
  ids: { emailServiceId: 'EmailService' },
  targetType: 'EmailService',
  creates: 'WebhookEndpoint',
  target: (work, { emailServiceId }) => lockEmailService(work, emailServiceId!),
  input: z.object({
    url: urlSchema,
    events: z
      .array(z.enum(emailEventWords))
      .min(1, { error: 'must have at least one item' })
      .transform((words) => [...new Set(words)]),
  }),
  emits: [webhookEndpointCreated],
  once: ['secret'],
  prepare: ({ app }, { url }) => problemOfUrl(app, url),
  async run(work, { url, events }, { id }: EmailService, urlProblem) {
    demand(work.caller, 'view:email')
    const filter = { emailServiceId: { equals: encodeId('EmailService', id) } }
    const eventTypes = events.map((word) => `email.${word}`)
    return addEndpoint(work, { url, eventTypes, filter }, urlProblem, { format: 'EMAIL', emailServiceId: id })
  },
})

/** Deletes the endpoints of an email service together with it. */
export const deleteWithEmailService = onEvent(
  emailServiceEvents.deleted,
  async (work, { subjectId }) => {
    const found = await rows<WebhookEndpoint>(
      work.tx,
      sql`select * from webhook_endpoint where email_service_id = ${subjectId}::uuid order by id for update`,
    )
    for (const endpoint of found) await remove(work, endpoint)
  },
  { emits: [webhookEndpointDeleted] },
)

/** Endpoints of many email services in one statement, oldest first. */
export const endpointsByEmailService = (reader: Reader, parentIds: readonly string[]): Promise<WebhookEndpoint[][]> =>
  webhookEndpointListing.readBelow(reader, { parent: 'emailServiceId', parentIds, orderBy: sql`t.id` })
