/**
 * Assigns positions to committed events and audit entries, and chains audit entries by hash. Cursors, deliveries and `verifyAuditLog` rely
 * on positions only: they are assigned after the commit, by one process at a time, so a later commit can't have a lower position.
 */
import { createHash } from 'node:crypto'
import { defer, row, rows, run, sql, type Tx } from './db/index.ts'
import type { App } from './work.ts'

/** Maximum number of events, and of audit entries, per run. */
export const sequenceBatch = 2_000

/**
 * For the rest of the transaction. The planner prefers a bitmap scan for rows without a position, which reads every row that has been given
 * one since the last vacuum; an index scan skips them.
 */
const readInOrder = sql`select set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)`

/**
 * Assigns positions to the rows that have none. The row lock on `sequencer` serves as the lease: it ends with the transaction, so a process
 * that dies blocks nobody. A process that doesn't get the lock does nothing: the holder was woken too and runs again afterwards. Insertion
 * order is correct because the events of a subject are inserted under its lock, in commit order. Returns the number of rows positioned.
 */
export async function sequence(app: App): Promise<number> {
  // Usually there is nothing to do, and this is the only statement.
  const waiting = await row(
    app.db.prisma,
    sql`select 1 as one where exists (select 1 from event where position is null) or exists (select 1 from audit_entry where position is null)`,
  )
  if (!waiting) return 0
  const { events, audits } = await app.db.transaction(async (tx) => {
    const state = await row<{ eventPosition: bigint }>(tx, sql`select event_position from sequencer where id = 1 for update skip locked`)
    if (!state) return { events: 0, audits: 0 }
    defer(tx, readInOrder)
    return { events: await positionEvents(tx, state.eventPosition), audits: await chainAudit(tx) }
  })
  if (events > 0) app.wake.notify('events')
  return events + audits
}

/** Updates by id: with a condition on positions, the planner may read the whole table for a few rows. */
async function positionEvents(tx: Tx, last: bigint): Promise<number> {
  const waiting = await rows<{ id: string; organizationId: string }>(
    tx,
    sql`select id, organization_id from event where position is null order by ordinal limit ${sequenceBatch}`,
  )
  if (waiting.length === 0) return 0
  defer(
    tx,
    sql`update event e set position = ${last}::bigint + w.n
        from unnest(${waiting.map(({ id }) => id)}::uuid[]) with ordinality as w(id, n) where e.id = w.id`,
  )
  countUsage(
    tx,
    waiting.map(({ organizationId }) => organizationId),
  )
  defer(tx, sql`update sequencer set event_position = event_position + ${waiting.length} where id = 1`)
  return waiting.length
}

/** Adds one event per occurrence of an organization to its current minute, for the quota. */
const countUsage = (tx: Tx, organizationIds: readonly string[]): void =>
  defer(
    tx,
    sql`insert into event_usage as u (organization_id, minute, events)
        select id, date_trunc('minute', app_now()), count(*) from unnest(${[...organizationIds]}::uuid[]) as o(id) group by 1 order by 1
        on conflict (organization_id) do update
        set minute = excluded.minute, events = case when u.minute = excluded.minute then u.events + excluded.events else excluded.events end`,
  )

export type AuditLink = {
  id: string
  organizationId: string
  actorType: string
  actorId: string | null
  actorName: string
  action: string
  targetType: string | null
  targetId: string | null
  details: unknown
  requestId: string | null
  createdAt: Date
}

/** SHA-256 over the previous entry's hash, the position and every field of the entry. */
export function auditHash(former: Uint8Array, position: bigint, entry: AuditLink): Buffer {
  const fields = [
    entry.id,
    entry.organizationId,
    String(position),
    entry.actorType,
    entry.actorId,
    entry.actorName,
    entry.action,
    entry.targetType,
    entry.targetId,
    JSON.stringify(entry.details),
    entry.requestId,
    entry.createdAt.toISOString(),
  ]
  return createHash('sha256').update(former).update(JSON.stringify(fields)).digest()
}

async function chainAudit(tx: Tx): Promise<number> {
  const waiting = await rows<AuditLink>(tx, sql`select * from audit_entry where position is null order by ordinal limit ${sequenceBatch}`)
  if (waiting.length === 0) return 0
  const organizationIds = [...new Set(waiting.map((entry) => entry.organizationId))]
  const ends = await rows<{ organizationId: string; position: bigint; hash: Uint8Array }>(
    tx,
    sql`select * from audit_chain where organization_id = any(${organizationIds}::uuid[])`,
  )
  const chains = new Map(ends.map((end) => [end.organizationId, { position: end.position, hash: end.hash }]))
  const positions: bigint[] = []
  const hashes: string[] = []
  for (const entry of waiting) {
    const end = chains.get(entry.organizationId) ?? { position: 0n, hash: new Uint8Array() }
    const position = end.position + 1n
    const hash = auditHash(end.hash, position, entry)
    positions.push(position)
    hashes.push(hash.toString('hex'))
    chains.set(entry.organizationId, { position, hash })
  }
  await run(
    tx,
    sql`update audit_entry a set position = link.position, hash = decode(link.hash, 'hex')
        from unnest(${waiting.map((entry) => entry.id)}::uuid[], ${positions}::bigint[], ${hashes}::text[]) as link(id, position, hash)
        where a.id = link.id`,
  )
  const changed = organizationIds.map((id) => chains.get(id)!)
  await run(
    tx,
    sql`insert into audit_chain (organization_id, position, hash)
        select link.id, link.position, decode(link.hash, 'hex')
        from unnest(${organizationIds}::uuid[], ${changed.map((end) => end.position)}::bigint[],
                    ${changed.map((end) => Buffer.from(end.hash).toString('hex'))}::text[]) as link(id, position, hash)
        on conflict (organization_id) do update set position = excluded.position, hash = excluded.hash`,
  )
  return waiting.length
}
