import { z } from 'zod'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, type Read, visible } from '../../../platform/command.ts'
import { join, row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'
import { visibleByEndpoint } from '../endpoint/index.ts'
import { findWebhookMessage } from '../message/index.ts'
import type { ListedDelivery, MessageWithDeliveries, ShownDelivery } from './model.ts'

export const deliveryStatuses = ['PENDING', 'DELIVERED', 'EXHAUSTED', 'ABORTED', 'SKIPPED', 'CANCELLED', 'UNKNOWN'] as const

const messageFilter = {
  endpointId: z.string().nullish(),
  eventType: z.string().nullish(),
  status: z.enum(deliveryStatuses).nullish(),
  since: z.date().nullish(),
  until: z.date().nullish(),
}

/** Messages with their deliveries, which a list reads in the statement of the messages. */
export const deliveredMessageListing = defineListing<'WebhookMessage', typeof messageFilter, MessageWithDeliveries>({
  type: 'WebhookMessage',
  noun: 'webhook message',
  description: 'Webhook messages visible to the caller, newest first. Includes messages of events that matched no endpoint.',
  permission: 'view:webhooks',
  order: 'newest_first',
  omit: ['body'],
  computed: { deliveries: (caller: Caller) => shownDeliveries(caller, sql`t.id`) },
  filter: messageFilter,
  ids: { endpointId: 'WebhookEndpoint' },
  where({ endpointId, eventType, status, since, until }, caller) {
    const delivery = [
      visibleByEndpoint(caller, sql`d.endpoint_id`),
      ...(endpointId ? [sql`d.endpoint_id = ${endpointId}::uuid`] : []),
      ...(status ? [sql`d.status = ${status}::webhook_delivery_status`] : []),
    ]
    return [
      ...(endpointId || status
        ? [sql`exists (select 1 from webhook_delivery d where d.message_id = t.id and ${join(delivery, ' and ')})`]
        : []),
      ...(eventType ? [sql`t.event_type = ${eventType}`] : []),
      ...(since ? [sql`t.timestamp >= ${since}`] : []),
      ...(until ? [sql`t.timestamp < ${until}`] : []),
    ]
  },
})

export const listWebhookMessages = listQuery(deliveredMessageListing)
export const countWebhookMessages = countQuery(deliveredMessageListing)

/** Asked once for a list, whether its page is read, its count or both. */
export const checkWebhookFilter = defineQuery({
  name: 'webhookFilter',
  description: 'Checks that the endpoint and the message that a list is filtered by are visible to the caller.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint', messageId: 'WebhookMessage' },
  input: z.object({ endpointId: z.string().nullish(), messageId: z.string().nullish() }),
  async run(read, { endpointId, messageId }) {
    if (endpointId) await demandEndpoint(read, endpointId)
    if (messageId && !(await findWebhookMessage.run({ ...read, columns: [] }, { id: messageId })))
      throw errors.not_found({ field: 'messageId' })
  },
})

/** Throws `not_found` unless the caller can see the endpoint or, if it has been deleted, a delivery to it. */
export async function demandEndpoint({ tx, caller }: Read, endpointId: string): Promise<void> {
  const found = await row(
    tx,
    sql`select 1 as found from webhook_endpoint e where e.id = ${endpointId}::uuid and ${visible(caller, sql`e`)}
        union all
        (select 1 from webhook_delivery d where d.endpoint_id = ${endpointId}::uuid
           and d.organization_id = ${caller.organizationId}::uuid and ${visibleByEndpoint(caller, sql`d.endpoint_id`)} limit 1)
        limit 1`,
  )
  if (!found) throw errors.not_found({ field: 'endpointId' })
}

export const deliveryOf = (listed: ListedDelivery): ShownDelivery => ({
  ...listed,
  nextAttemptAt: listed.nextAttemptAt === null ? null : new Date(listed.nextAttemptAt),
})

/**
 * The deliveries of a message that the caller may see, as JSON; at most as many as an organization can have endpoints. What waits behind
 * an open breaker is due when that lets the next probe through.
 */
const shownDeliveries = (caller: Caller, messageId: Sql): Sql => sql`
  (select coalesce(json_agg(json_build_object(
            'endpointId', d.endpoint_id, 'status', d.status, 'reason', d.reason, 'attemptCount', d.attempt_count,
            'nextAttemptAt', greatest(d.next_attempt_at, case when d.next_attempt_at is not null then l.breaker_until end))
            order by d.created_at, d.endpoint_id), '[]')
   from webhook_delivery d left join webhook_lane l on l.endpoint_id = d.endpoint_id
   where d.message_id = ${messageId} and ${visibleByEndpoint(caller, sql`d.endpoint_id`)})`

/** Those of many messages, in one statement. */
export async function deliveriesOf(tx: Tx, caller: Caller, messageIds: readonly string[]): Promise<ShownDelivery[][]> {
  const found = await rows<{ id: string; deliveries: ListedDelivery[] }>(
    tx,
    sql`select t.id, ${shownDeliveries(caller, sql`t.id`)} as deliveries from unnest(${[...new Set(messageIds)]}::uuid[]) as t(id)`,
  )
  const byMessage = new Map(found.map(({ id, deliveries }) => [id, deliveries.map(deliveryOf)]))
  return messageIds.map((id) => byMessage.get(id) ?? [])
}
