import { z } from 'zod'
import { defineQuery, type Read, visible } from '../../../platform/command.ts'
import { row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import type { Message, Sendable } from './model.ts'

/** Every column of `webhook_message t` but the body. */
export const messageColumns = sql`t.id, t.organization_id, t.project_id, t.position, t.event_type, t.schema_version,
  t.subject_type, t.subject_id, t.channels, t.request_id, t.timestamp, t.body_removed_at, t.created_at, t.updated_at`

export const findWebhookMessage = defineQuery({
  name: 'webhookMessage',
  description: 'Webhook message with the given ID, which is the ID of its event. Null if it does not exist.',
  permission: 'view:webhooks',
  ids: { id: 'WebhookMessage' },
  input: z.object({ id: z.string() }),
  run: (read, { id }) => findMessage(read, id),
})

/** Null if the message does not exist or is not visible to the caller. */
export const findMessage = ({ tx, caller }: Read, id: string): Promise<Message | null> =>
  row<Message>(tx, sql`select ${messageColumns} from webhook_message t where t.id = ${id}::uuid and ${visible(caller, sql`t`)}`)

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
