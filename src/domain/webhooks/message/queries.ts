import { rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { defineListing, findQuery } from '../../../platform/listing.ts'
import type { Message, Sendable } from './model.ts'

/** Messages without their bodies. */
export const webhookMessageListing = defineListing<'WebhookMessage', Record<never, never>, Message>({
  type: 'WebhookMessage',
  noun: 'webhook message',
  permission: 'view:webhooks',
  order: 'newest_first',
  nameColumn: 'eventType',
  omit: ['body'],
})

export const findWebhookMessage = findQuery(webhookMessageListing)

/** Messages with their bodies, by id. */
export async function readSendables(tx: Tx, messageIds: readonly string[]): Promise<Map<string, Sendable>> {
  const found = await rows<Sendable>(
    tx,
    sql`select id, organization_id, project_id, event_type, schema_version, subject_type, subject_id, timestamp, position, body, app_now() as now
        from webhook_message where id = any(${[...new Set(messageIds)]}::uuid[])`,
  )
  return new Map(found.map((message) => [message.id, message]))
}

/** Total size of the bodies that `readSendables` would read. */
export const bodyBytes = (messageIds: readonly string[]): Sql =>
  sql`select sum(octet_length(body))::float8 as bytes from webhook_message where id = any(${messageIds}::uuid[])`
