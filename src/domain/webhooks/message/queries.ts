import { z } from 'zod'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { join, row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { countOf, type Listing, pageOf, pageSchema } from '../../../platform/page.ts'
import { demandEndpoint, visibleByEndpoint } from '../endpoint/index.ts'
import type { Message, ShownDelivery } from './model.ts'

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
    await demandEndpoint(read, input.endpointId)
    const page = await pageOf<Message & { deliveries: RawDelivery[] }>(read.tx, messageListing(read.caller, input), input)
    return { ...page, rows: page.rows.map((message): Message => ({ ...message, deliveries: message.deliveries.map(revive) })) }
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
