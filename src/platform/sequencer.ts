/**
 * Assigns positions to committed events and audit entries, and chains audit entries by hash. Cursors, deliveries and `verifyAuditLog` rely
 * on positions only: they are assigned after the commit, by one process at a time, so a later commit can't have a lower position.
 */
import { type AuditLink, auditHash, chainStart, linkColumns } from './audit-chain.ts'
import { defer, empty, row, rows, sql, type Tx } from './db/index.ts'
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
 * that dies blocks nobody. A process that doesn't get the lock does nothing: the holder was woken too and runs again afterwards; with `waits`,
 * it waits for the lock. Insertion order is correct because the events of a subject are inserted under its lock, in commit order. Returns the
 * number of rows positioned.
 */
export async function sequence(app: App, { waits = false } = {}): Promise<number> {
  // Usually there is nothing to do, and this is the only statement.
  const waiting = await row(
    app.db,
    sql`select 1 as one where exists (select 1 from event where position is null) or exists (select 1 from audit_entry where position is null)`,
  )
  if (!waiting) return 0
  const { events, audits } = await app.db.transaction(async (tx) => {
    const [state, , events, links] = await Promise.all([
      row<{ eventPosition: bigint }>(tx, sql`select event_position from sequencer where id = 1 for update ${waits ? empty : skipLocked}`),
      rows(tx, readInOrder),
      rows<EventRow>(tx, sql`select id, organization_id from event where position is null order by ordinal limit ${sequenceBatch}`),
      rows<WaitingLink>(
        tx,
        sql`select ${linkColumns}, c.position as last_position, c.hash as last_hash
            from audit_entry a left join audit_chain c on c.organization_id = a.organization_id
            where a.position is null order by a.ordinal limit ${sequenceBatch}`,
      ),
    ])
    // They were read while another process held the lock, which may have positioned them by now.
    if (!state) return { events: 0, audits: 0 }
    if (events.length > 0) positionEvents(tx, events, state.eventPosition)
    if (links.length > 0) chainAudit(tx, links)
    return { events: events.length, audits: links.length }
  })
  if (events > 0) app.wake.notify('events')
  return events + audits
}

const skipLocked = sql`skip locked`

/** At most as many runs as make up for a long pause; a constant stream of writes doesn't keep a reader waiting. */
const runsAtMost = 10

/** Assigns positions to everything that was committed before, even while another process is doing so. Returns the number of rows positioned. */
export async function sequenceAll(app: App): Promise<number> {
  let total = 0
  for (let runs = 0; runs < runsAtMost; runs++) {
    const positioned = await sequence(app, { waits: true })
    if (positioned === 0) break
    total += positioned
  }
  return total
}

type EventRow = { id: string; organizationId: string }

/** Updates by id: with a condition on positions, the planner may read the whole table for a few rows. */
function positionEvents(tx: Tx, waiting: readonly EventRow[], last: bigint): void {
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

/** An entry without a position, and the end of its organization's chain. */
type WaitingLink = AuditLink & { lastPosition: bigint | null; lastHash: Uint8Array | null }

function chainAudit(tx: Tx, waiting: readonly WaitingLink[]): void {
  const ends = new Map<string, { position: bigint; hash: Uint8Array }>()
  const links = waiting.map((entry) => {
    const end = ends.get(entry.organizationId) ?? { position: entry.lastPosition ?? 0n, hash: entry.lastHash ?? chainStart }
    const position = end.position + 1n
    const link = { position, hash: auditHash(end.hash, position, entry) }
    ends.set(entry.organizationId, link)
    return { id: entry.id, ...link }
  })
  defer(
    tx,
    sql`update audit_entry a set position = link.position, hash = link.hash
        from unnest(${links.map(({ id }) => id)}::uuid[], ${links.map(({ position }) => position)}::bigint[],
                    ${links.map(({ hash }) => hash)}::bytea[]) as link(id, position, hash)
        where a.id = link.id`,
  )
  const changed = [...ends]
  defer(
    tx,
    sql`insert into audit_chain (organization_id, position, hash)
        select * from unnest(${changed.map(([id]) => id)}::uuid[], ${changed.map(([, { position }]) => position)}::bigint[],
                             ${changed.map(([, { hash }]) => hash)}::bytea[])
        on conflict (organization_id) do update set position = excluded.position, hash = excluded.hash`,
  )
}
