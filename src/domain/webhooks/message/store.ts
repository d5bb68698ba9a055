/** How messages are written: for events, for tests, and when their bodies are removed. */
import type { WebhookMessage } from '../../../generated/prisma/client.ts'
import { defer, newRow, row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { type EventDefinition, forgetEventData } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { bodyOf, type EventRow } from './model.ts'

/** Inserts the messages of events, together with the next statement. An organization that is being deleted gets no more. */
export const insertMessages = (tx: Tx, events: readonly EventRow[]): void =>
  defer(
    tx,
    sql`insert into webhook_message (id, organization_id, project_id, position, event_type, schema_version, subject_type, subject_id,
                                     channels, request_id, timestamp, body)
        select e.id, e.organization_id, e.project_id, e.position, e.type, e.schema_version, e.subject_type, e.subject_id, e.channels,
               e.request_id, e.created_at, b.body
        from unnest(${events.map((event) => event.id)}::uuid[], ${events.map((event) => bodyOf(event, event.data))}::text[]) as b(id, body)
        join event e on e.id = b.id
        join organization o on o.id = e.organization_id and o.deleting_at is null`,
  )

type TestMessage = { organizationId: string; projectId: string | null; eventType: EventDefinition; schemaVersion: number; data: unknown }

/** Inserts a test message, which belongs to no event. */
export async function insertTestMessage(work: Work, { organizationId, projectId, eventType, schemaVersion, data }: TestMessage) {
  const id = newId()
  const { type } = eventType
  const { now: createdAt } = (await row<{ now: Date }>(work.tx, sql`select app_now() as now`))!
  const body = bodyOf({ id, organizationId, type, schemaVersion, sequence: 0, createdAt }, JSON.stringify(data), true)
  const fields = { id, organizationId, projectId, eventType: type, schemaVersion, requestId: work.requestId, timestamp: createdAt, body }
  return (await row<WebhookMessage>(work.tx, sql`insert into webhook_message ${newRow(fields)} returning *`))!
}

/** Removes messages, with what still belongs to them. */
export const removeMessages = (tx: Tx, ids: readonly string[]): Promise<number> =>
  run(tx, sql`delete from webhook_message where id = any(${[...ids]}::uuid[])`)

/** Removes the bodies of messages and the data of their events. */
export async function clearMessages(tx: Tx, ids: readonly string[]): Promise<void> {
  await run(
    tx,
    sql`update webhook_message set body = null, body_removed_at = app_now() where id = any(${[...ids]}::uuid[]) and body is not null`,
  )
  await forgetEventData(tx, ids)
}
