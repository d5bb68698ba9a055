import { z } from 'zod'
import type { WebhookDelivery } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { join, row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { countOf, type Listing, pageOf, pageSchema } from '../../../platform/page.ts'
import { demandEndpoint, visibleByEndpoint } from '../endpoint/index.ts'
import type { Message } from './model.ts'

export const deliveryStatuses = ['PENDING', 'DELIVERED', 'EXHAUSTED', 'ABORTED', 'SKIPPED', 'CANCELLED', 'UNKNOWN'] as const

const filterInput = {
  endpointId: z.string().nullish(),
  eventType: z.string().nullish(),
  status: z.enum(deliveryStatuses).nullish(),
  since: z.date().nullish(),
  until: z.date().nullish(),
}
const filterSchema = z.object(filterInput)
type Filter = z.infer<typeof filterSchema>

/** Without the body. */
export const messageColumns = sql`t.id, t.organization_id, t.project_id, t.position, t.event_type, t.schema_version,
  t.subject_type, t.subject_id, t.channels, t.request_id, t.timestamp, t.body_removed_at, t.created_at, t.updated_at`

const messageListing = (caller: Caller, filter: Filter): Listing => {
  const delivery = [
    visibleByEndpoint(caller, sql`d.endpoint_id`),
    ...(filter.endpointId ? [sql`d.endpoint_id = ${filter.endpointId}::uuid`] : []),
    ...(filter.status ? [sql`d.status = ${filter.status}::webhook_delivery_status`] : []),
  ]
  const conditions = [
    visible(caller, sql`t`),
    ...(filter.endpointId || filter.status
      ? [sql`exists (select 1 from webhook_delivery d where d.message_id = t.id and ${join(delivery, ' and ')})`]
      : []),
    ...(filter.eventType ? [sql`t.event_type = ${filter.eventType}`] : []),
    ...(filter.since ? [sql`t.timestamp >= ${filter.since}`] : []),
    ...(filter.until ? [sql`t.timestamp < ${filter.until}`] : []),
  ]
  return {
    type: 'WebhookMessage',
    select: sql`${messageColumns} from webhook_message t`,
    where: join(conditions, ' and '),
    order: 'newest_first',
  }
}

export const listWebhookMessages = defineQuery({
  name: 'webhookMessages',
  description: 'Webhook messages visible to the caller, newest first. Includes messages of events that matched no endpoint.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint' },
  input: z.object(filterInput).and(pageSchema),
  async run(read, input) {
    await demandEndpoint(read, input.endpointId)
    return pageOf<Message>(read.tx, messageListing(read.caller, input), input)
  },
})

export const countWebhookMessages = defineQuery({
  name: 'webhookMessageCount',
  description: 'Number of webhook messages visible to the caller.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint' },
  input: filterSchema,
  async run(read, filter) {
    await demandEndpoint(read, filter.endpointId)
    return countOf(read.tx, messageListing(read.caller, filter))
  },
})

export const findWebhookMessage = defineQuery({
  name: 'webhookMessage',
  description: 'Webhook message with the given ID, which is the ID of its event. Null if it does not exist.',
  permission: 'view:webhooks',
  ids: { id: 'WebhookMessage' },
  input: z.object({ id: z.string() }),
  run: (read, { id }) =>
    row<Message>(
      read.tx,
      sql`select ${messageColumns} from webhook_message t where t.id = ${id}::uuid and ${visible(read.caller, sql`t`)}`,
    ),
})

/**
 * The deliveries of many messages that the caller may see, in one statement; a message has at most as many as an organization can have endpoints. What waits
 * behind an open breaker is due when that lets the next probe through.
 */
export async function deliveriesOf(tx: Tx, caller: Caller, messageIds: readonly string[]): Promise<WebhookDelivery[][]> {
  const found = await rows<WebhookDelivery & { breakerUntil: Date | null }>(
    tx,
    sql`select d.*, l.breaker_until from webhook_delivery d left join webhook_lane l on l.endpoint_id = d.endpoint_id
        where d.message_id = any(${messageIds}::uuid[]) and ${visibleByEndpoint(caller, sql`d.endpoint_id`)}
        order by d.message_id, d.created_at, d.endpoint_id`,
  )
  const shown = found.map(({ breakerUntil, ...delivery }) => {
    const waits = delivery.nextAttemptAt && breakerUntil && breakerUntil > delivery.nextAttemptAt
    return waits ? { ...delivery, nextAttemptAt: breakerUntil } : delivery
  })
  const byMessage = Map.groupBy(shown, (delivery) => delivery.messageId)
  return messageIds.map((id) => byMessage.get(id) ?? [])
}
