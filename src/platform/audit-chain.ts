/**
 * The audit chain: every entry of an organization has a hash over the hash of the entry before it and all of its own fields. An edit, a
 * deletion or another order therefore changes every later hash. The format is permanent, because stored entries must stay verifiable.
 */
import { createHash } from 'node:crypto'
import { raw } from './db/index.ts'

/** An entry as it is hashed. JSON columns are hashed as the text that the database stores. */
export type AuditLink = {
  id: string
  organizationId: string
  actorType: string
  actorId: string | null
  actorName: string
  userId: string | null
  action: string
  outcome: string
  targetType: string | null
  targetId: string | null
  targetName: string | null
  before: string | null
  after: string | null
  details: string
  ipAddress: string | null
  userAgent: string | null
  door: string | null
  requestId: string | null
  createdAt: Date
}

/** The columns of an AuditLink, of `audit_entry a`. */
export const linkColumns =
  raw(`a.id, a.organization_id, a.actor_type, a.actor_id, a.actor_name, a.user_id, a.action, a.outcome, a.target_type,
  a.target_id, a.target_name, a.before::text as before, a.after::text as after, a.details::text as details, a.ip_address, a.user_agent, a.door,
  a.request_id, a.created_at`)

/** The hash before the first entry. */
export const chainStart: Uint8Array = new Uint8Array()

/**
 * SHA-256 over the former hash and a JSON array: id, organization, position, actor type, actor id, actor name, action, target type, target
 * id, details, request id and time (ISO 8601, milliseconds), and, unless it would be empty, an object of the other fields that are set, in
 * the order below; the outcome SUCCEEDED counts as unset. Ids are UUIDs, the position is a string.
 */
export function auditHash(former: Uint8Array, position: bigint, entry: AuditLink): Buffer {
  const fields: unknown[] = [
    entry.id,
    entry.organizationId,
    String(position),
    entry.actorType,
    entry.actorId,
    entry.actorName,
    entry.action,
    entry.targetType,
    entry.targetId,
    entry.details,
    entry.requestId,
    entry.createdAt.toISOString(),
  ]
  const others = {
    outcome: entry.outcome === 'SUCCEEDED' ? undefined : entry.outcome,
    userId: entry.userId ?? undefined,
    targetName: entry.targetName ?? undefined,
    before: entry.before ?? undefined,
    after: entry.after ?? undefined,
    ipAddress: entry.ipAddress ?? undefined,
    userAgent: entry.userAgent ?? undefined,
    door: entry.door ?? undefined,
  }
  const text = JSON.stringify(others)
  if (text !== '{}') fields.push(others)
  return createHash('sha256').update(former).update(JSON.stringify(fields)).digest()
}
