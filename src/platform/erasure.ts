/** Removes what the platform itself keeps for an organization that is being deleted. */
import { rows, run, type Sql, sql, type Tx } from './db/index.ts'

/** Removes the oldest events that have a position, and the counters of their subjects. Returns the number of events. */
export async function eraseEvents(tx: Tx, organizationId: string, limit: number): Promise<number> {
  return removeEvents(
    tx,
    sql`organization_id = ${organizationId}::uuid and position is not null order by organization_id, position limit ${limit}`,
  )
}

/**
 * Removes everything else: events without a position, counters, idempotency keys and data keys. Without the data keys, no value that was
 * sealed for the organization can be opened any more, wherever a copy of it is. The sequencer is held back until the commit.
 */
export async function eraseRest(tx: Tx, organizationId: string): Promise<void> {
  await run(tx, sql`select 1 from sequencer where id = 1 for update`)
  await removeEvents(tx, sql`organization_id = ${organizationId}::uuid`)
  await run(tx, sql`delete from event_usage where organization_id = ${organizationId}::uuid`)
  await run(tx, sql`delete from idempotency where organization_id = ${organizationId}::uuid`)
  await run(tx, sql`delete from organization_key where organization_id = ${organizationId}::uuid`)
}

/** The counter of a subject goes with its last event. */
async function removeEvents(tx: Tx, chosen: Sql): Promise<number> {
  const subjects = await rows<{ subjectId: string }>(
    tx,
    sql`delete from event where id in (select id from event where ${chosen}) returning subject_id`,
  )
  if (subjects.length === 0) return 0
  const ids = [...new Set(subjects.map(({ subjectId }) => subjectId))]
  await run(
    tx,
    sql`delete from event_subject s where s.subject_id = any(${ids}::uuid[]) and not exists (select 1 from event e where e.subject_id = s.subject_id)`,
  )
  return subjects.length
}
