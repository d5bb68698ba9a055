/** Writes audit entries in the transaction of the change. The sequencer chains them; the audit-log concept reads them. */
import { defer, sql } from './db/index.ts'
import { clientAddress } from './forwarded.ts'
import { type IdType, newId } from './id.ts'
import type { Work } from './work.ts'

export type AuditRow = { action: string; targetType: IdType | null; targetId: string | null; details: Record<string, unknown> }

/** Written with the commit. If the entry can't be written, the change is rolled back. `details` must not contain secret values. */
export function writeAudit(work: Work, audit: AuditRow): void {
  const { subject, organizationId } = work.caller
  const client = clientAddress()
  const details = client === null ? audit.details : { ...audit.details, clientAddress: client }
  defer(
    work.tx,
    sql`insert into audit_entry (id, organization_id, actor_type, actor_id, actor_name, action, target_type, target_id, details, request_id)
        values (${newId()}::uuid, ${organizationId}::uuid, ${subject.type}, ${subject.id}::uuid, ${subject.name}, ${audit.action},
                ${audit.targetType}, ${audit.targetId}::uuid, ${JSON.stringify(details)}::json, ${work.requestId})`,
  )
  work.wake('outbox')
}
