import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { webhookEndpointCreated, webhookEndpointDeleted, webhookEndpointDisabled, webhookEndpointUpdated } from '../endpoint/index.ts'
import { deliveriesTopic } from './model.ts'
import { cancelPending } from './settle.ts'

const openLane = onEvent(webhookEndpointCreated, async (work, event) => {
  await run(work.tx, sql`insert into webhook_lane (endpoint_id) values (${event.subjectId}::uuid) on conflict do nothing`)
})

/** A limit that was lifted lets through what waits. */
const wakeDeliveries = onEvent(webhookEndpointUpdated, async (work) => work.wake(deliveriesTopic))

/** What waits for a disabled endpoint is skipped, visibly. Once enabled it begins anew. */
const skipPending = onEvent(webhookEndpointDisabled, async (work, event) => {
  await cancelPending(work.tx, event.subjectId, 'SKIPPED', 'The endpoint was disabled.')
  await run(
    work.tx,
    sql`update webhook_lane set silent_failures = 0, breaker_until = null, failing_since = null, last_failure_at = null, warned_at = null
        where endpoint_id = ${event.subjectId}::uuid`,
  )
})

/** What waits for a deleted endpoint is cancelled. Its lane stays until the mirror of it is gone, where there is one. */
const closeLane = onEvent(webhookEndpointDeleted, async (work, event) => {
  await cancelPending(work.tx, event.subjectId, 'CANCELLED', 'The endpoint was deleted.')
  await run(work.tx, sql`delete from webhook_lane where endpoint_id = ${event.subjectId}::uuid and mirrored_version is null`)
})

export const reactions: Reaction[] = [openLane, wakeDeliveries, skipPending, closeLane]
