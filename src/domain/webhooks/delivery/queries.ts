import { z } from 'zod'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, type Read, visible } from '../../../platform/command.ts'
import { join, row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { countOf, type Listing, pageOf, pageSchema } from '../../../platform/page.ts'
import { visibleByEndpoint } from '../endpoint/index.ts'
import { findMessage, type Message, messageColumns } from '../message/index.ts'
import type { MessageWithDeliveries, ShownDelivery } from './model.ts'

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
    select: sql`${messageColumns}, ${shownDeliveries(caller, sql`t.id`)} as deliveries from webhook_message t`,
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
    const page = await pageOf<Message & { deliveries: RawDelivery[] }>(read.tx, messageListing(read.caller, input), input)
    return {
      ...page,
      rows: page.rows.map((message): MessageWithDeliveries => ({ ...message, deliveries: message.deliveries.map(revive) })),
    }
  },
})

export const countWebhookMessages = defineQuery({
  name: 'webhookMessageCount',
  description: 'Number of webhook messages visible to the caller.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint' },
  input: filterSchema,
  run: (read, filter) => countOf(read.tx, messageListing(read.caller, filter)),
})

/** Asked once for a list, whether its page is read, its count or both. */
export const checkWebhookFilter = defineQuery({
  name: 'webhookFilter',
  description: 'Checks that the endpoint and the message that a list is filtered by are visible to the caller.',
  permission: 'view:webhooks',
  ids: { endpointId: 'WebhookEndpoint', messageId: 'WebhookMessage' },
  input: z.object({ endpointId: z.string().nullish(), messageId: z.string().nullish() }),
  async run(read, { endpointId, messageId }) {
    if (endpointId) await demandEndpoint(read, endpointId)
    if (messageId && !(await findMessage(read, messageId))) throw errors.not_found({ field: 'messageId' })
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

type RawDelivery = Omit<ShownDelivery, 'nextAttemptAt'> & { nextAttemptAt: string | null }

const revive = (raw: RawDelivery): ShownDelivery => ({
  ...raw,
  nextAttemptAt: raw.nextAttemptAt === null ? null : new Date(raw.nextAttemptAt),
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
  const found = await rows<{ id: string; deliveries: RawDelivery[] }>(
    tx,
    sql`select t.id, ${shownDeliveries(caller, sql`t.id`)} as deliveries from unnest(${[...new Set(messageIds)]}::uuid[]) as t(id)`,
  )
  const byMessage = new Map(found.map(({ id, deliveries }) => [id, deliveries.map(revive)]))
  return messageIds.map((id) => byMessage.get(id) ?? [])
}
