import { z } from 'zod'
import type { WebhookMessage } from '../../../generated/prisma/client.ts'
import { defineCommand, visible } from '../../../platform/command.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { removeBodies } from '../delivery/index.ts'
import { visibleByEndpoint } from '../endpoint/index.ts'

export const expungeWebhookMessage = defineCommand({
  name: 'expungeWebhookMessage',
  description:
    'Expunges the payload of a message and the response bodies of its attempts, immediately and permanently. With `attemptId`, expunges only the response body of that attempt. All other details are kept.',
  permission: 'delete:webhooks',
  ids: { messageId: 'WebhookMessage', attemptId: 'WebhookAttempt' },
  targetType: 'WebhookMessage',
  target: (work, ids) =>
    row<WebhookMessage>(
      work.tx,
      sql`select m.* from webhook_message m where m.id = ${ids.messageId}::uuid and ${visible(work.caller, sql`m`)} for update`,
    ),
  input: z.object({ attemptId: z.string().nullish() }),
  emits: [],
  async run(work, { attemptId }, target: WebhookMessage) {
    const byAttempt = attemptId ? sql`and id = ${attemptId}::uuid and ${visibleByEndpoint(work.caller, sql`endpoint_id`)}` : sql``
    // Bodies of deliveries before those of responses: an attempt that is being recorded holds a lock on its delivery, so it is stored by then.
    if (!attemptId) await removeBodies(work.tx, [target.id])
    const found = await run(
      work.tx,
      sql`update webhook_attempt set response_body = null where message_id = ${target.id}::uuid ${byAttempt}`,
    )
    if (attemptId && found === 0) throw errors.not_found({ field: 'attemptId' })
    const webhookMessage = await row<WebhookMessage>(work.tx, sql`select * from webhook_message where id = ${target.id}::uuid`)
    return { webhookMessage: webhookMessage! }
  },
})
