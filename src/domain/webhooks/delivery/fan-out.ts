import { defer, row, rows, run, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { matchesFilter, operationalTypes, type PayloadFilter, recordStartPositions } from '../endpoint/index.ts'
import { matchesPatterns } from '../event-type/index.ts'
import { type EventRow, insertMessages } from '../message/index.ts'
import { deliveriesTopic } from './model.ts'

/** With every event at the size limit a batch is 64 MB. */
export const fanOutBatch = 250

/**
 * Creates the messages of the next events by position, and a delivery for each matching endpoint. The row lock of the cursor serves as
 * lease, and cursor, messages and deliveries commit together, so every event is fanned out exactly once. Returns the number of events.
 */
export async function fanOut(app: App): Promise<number> {
  // Usually there is nothing to do, so this costs one statement. Ordered, because the planner would read the whole table otherwise.
  const waiting = await row(
    app.db,
    sql`select 1 as one from event where position > (select position from webhook_fan_out where id = 1) order by position limit 1`,
  )
  if (!waiting) return 0
  const { events, deliveries } = await app.db.transaction(async (tx) => {
    // Reads nothing while another process is fanning out. That process was woken too, and looks again when it is done.
    const found = await rows<EventRow>(
      tx,
      sql`with cursor as (select position from webhook_fan_out where id = 1 for update skip locked)
          select id, organization_id, project_id, position, type, schema_version, sequence, data::text as data, created_at
          from event where position > (select position from cursor) order by position limit ${fanOutBatch}`,
    )
    const last = found.at(-1)
    if (!last) return { events: 0, deliveries: 0 }
    const ids = found.map((event) => event.id)
    recordStartPositions(tx, ids)
    insertMessages(tx, found)
    const made = await insertDeliveries(tx, found)
    defer(tx, sql`update webhook_fan_out set position = ${last.position} where id = 1`)
    return { events: found.length, deliveries: made }
  })
  if (deliveries > 0) app.wake.notify(deliveriesTopic)
  return events
}

/**
 * Whether a message `m` is meant for an endpoint `e`: by organization, project, event type and channels, not by its payload filter. An
 * endpoint never receives events about its own deliveries.
 */
export const isMeantFor: Sql = sql`
  e.organization_id = m.organization_id
  and (e.project_id is null or e.project_id = m.project_id)
  and ${matchesPatterns(sql`m.event_type`, sql`e.event_types`)}
  and (cardinality(e.channels) = 0 or e.channels && m.channels)
  and not (m.subject_id = e.id and m.event_type = any(${[...operationalTypes]}::text[]))`

const pairs = (ids: readonly string[]) => sql`
  from webhook_message m join webhook_endpoint e on ${isMeantFor}
  where m.id = any(${[...ids]}::uuid[]) and m.position > e.since_position`

const columns = sql`
  insert into webhook_delivery (message_id, endpoint_id, organization_id, position, status, reason, next_attempt_at)
  select m.id, e.id, m.organization_id, m.position,
         (case when e.disabled_at is null then 'PENDING' else 'SKIPPED' end)::webhook_delivery_status,
         case when e.disabled_at is not null then 'The endpoint is disabled.' end,
         case when e.disabled_at is null then app_now() end`

/** Payload filters are evaluated here, on the published data; everything else in the database. */
async function insertDeliveries(tx: Tx, events: EventRow[]): Promise<number> {
  const ids = events.map((event) => event.id)
  const made = await run(tx, sql`${columns} ${pairs(ids)} and e.filter is null`)
  const judged = await rows<{ messageId: string; endpointId: string; filter: PayloadFilter }>(
    tx,
    sql`select m.id as message_id, e.id as endpoint_id, e.filter ${pairs(ids)} and e.filter is not null`,
  )
  if (judged.length === 0) return made
  const byId = new Map(events.map((event) => [event.id, event]))
  const parsed = new Map<string, unknown>()
  const dataOf = (id: string) => {
    if (!parsed.has(id)) parsed.set(id, JSON.parse(byId.get(id)!.data))
    return parsed.get(id)
  }
  const matching = judged.filter(({ messageId, filter }) => matchesFilter(filter, dataOf(messageId)))
  if (matching.length === 0) return made
  return made + (await insertPairs(tx, matching))
}

const insertPairs = (tx: Tx, matching: readonly { messageId: string; endpointId: string }[]): Promise<number> =>
  run(
    tx,
    sql`${columns} from unnest(${matching.map(({ messageId }) => messageId)}::uuid[], ${matching.map(({ endpointId }) => endpointId)}::uuid[])
          as pair(message_id, endpoint_id) join webhook_message m on m.id = pair.message_id join webhook_endpoint e on e.id = pair.endpoint_id`,
  )
