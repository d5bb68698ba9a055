/**
 * Writes audit entries in the transaction of the change. The sequencer chains them; the audit-log concept reads them. What an entry shows of
 * a row are the fields that the listing of its type declares as `audited`, and no others, so that a new column is not shown by accident.
 */
import { isDeepStrictEqual } from 'node:util'
import { defer, sql } from './db/index.ts'
import { currentOrigin } from './forwarded.ts'
import { type IdType, newId } from './id.ts'
import type { Work } from './work.ts'

export type AuditOutcome = 'SUCCEEDED' | 'DENIED' | 'FAILED'

/**
 * What an entry is about: a row by its id, by its state before the change, or by both states. A row with `before: null` was created, one with
 * `after: null` deleted.
 */
export type AuditTarget = { type: IdType } & ({ id: string | null; name?: string | null } | { before: Row | null; after?: Row | null })

type Row = { id: string }

export type AuditRow = {
  action: string
  outcome?: AuditOutcome
  target?: AuditTarget | null
  /** Must not contain values of secrets. */
  details?: Record<string, unknown>
}

/** Written with the commit. If the entry can't be written, the change is rolled back. */
export function writeAudit(work: Work, { action, outcome = 'SUCCEEDED', target = null, details = {} }: AuditRow): void {
  const { subject, organizationId, userId } = work.caller
  const shown = target && describe(work, target)
  const origin = currentOrigin()
  defer(
    work.tx,
    sql`insert into audit_entry (id, organization_id, actor_type, actor_id, actor_name, user_id, action, outcome, target_type, target_id,
                                 target_name, before, after, details, ip_address, user_agent, door, request_id)
        values (${newId()}::uuid, ${organizationId}::uuid, ${subject.type}, ${subject.id}::uuid, ${subject.name}, ${userId}::uuid, ${action},
                ${outcome}::audit_outcome, ${target?.type ?? null}, ${shown?.id ?? null}::uuid, ${shown?.name ?? null},
                ${shown?.before ?? null}::json, ${shown?.after ?? null}::json, ${JSON.stringify(details)}::json, ${origin?.address ?? null},
                ${origin?.userAgent?.slice(0, userAgentLength) ?? null}, ${origin?.door ?? null}, ${work.requestId})`,
  )
  work.wake('outbox')
}

const userAgentLength = 256
const nameLength = 256

type Described = { id: string | null; name: string | null; before: string | null; after: string | null }

function describe({ app }: Work, target: AuditTarget): Described {
  if ('id' in target) return { id: target.id, name: target.name ?? null, ...unchanged }
  const { before, after } = target
  const row = before ?? after
  if (!row) throw new Error('an audit entry has a target without a row')
  const listing = app.domain.nodes.get(target.type)
  if (!listing) return { id: row.id, name: null, ...unchanged }
  return {
    id: row.id,
    name: auditName(listing.nameColumn, row),
    ...(after === undefined ? unchanged : changeOf(listing.audited, before, after)),
  }
}

const unchanged = { before: null, after: null }

/** The name that audit entries show for a row. */
export const auditName = (column: string, row: object): string | null => {
  const name = (row as Record<string, unknown>)[column]
  return name === undefined || name === null ? null : String(name).slice(0, nameLength)
}

/** JSON of the fields that differ; of a created or deleted row, of all fields that are set. */
function changeOf(fields: readonly string[], before: object | null, after: object | null): Pick<Described, 'before' | 'after'> {
  const [old, now] = [before, after] as (Record<string, unknown> | null)[]
  const left: Record<string, unknown> = {}
  const right: Record<string, unknown> = {}
  let differs = false
  for (const field of fields) {
    const [former, present] = [old?.[field], now?.[field]]
    if (old && now ? present === undefined || isDeepStrictEqual(former, present) : (former ?? present ?? null) === null) continue
    differs = true
    if (old) left[field] = shorten(former)
    if (now) right[field] = shorten(present)
  }
  return differs ? { before: old ? JSON.stringify(left) : null, after: now ? JSON.stringify(right) : null } : unchanged
}

const longest = 4_096

/** A long value is replaced by its length. */
function shorten(value: unknown): unknown {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value
  const { length } = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return length > longest ? `[${length} characters]` : value
}
