import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { webhookEndpointCreated, webhookEndpointDeleted, webhookEndpointDisabled, webhookEndpointUpdated } from '../endpoint/index.ts'
import { deliveriesTopic } from './model.ts'
import { cancelPending } from './settle.ts'

const openLane = onEvent(webhookEndpointCreated, async (work, event) => {
  await run(work.tx, sql`insert into webhook_lane (endpoint_id) values (${event.subjectId}::uuid) on conflict do nothing`)
})

/** An update may have lifted a limit, so that waiting deliveries can be sent. */
const wakeDeliveries = onEvent(webhookEndpointUpdated, async (work) => work.wake(deliveriesTopic))

/** Skips the pending deliveries of a disabled endpoint and resets its health for the time when it is enabled again. */
const skipPending = onEvent(webhookEndpointDisabled, async (work, event) => {
  await cancelPending(work.tx, event.subjectId, 'SKIPPED', 'The endpoint was disabled.')
  await run(
    work.tx,
    sql`update webhook_lane set silent_failures = 0, breaker_until = null, failing_since = null, last_failure_at = null, warned_at = null
        where endpoint_id = ${event.subjectId}::uuid`,
  )
})

/** Cancels the pending deliveries of a deleted endpoint. If the endpoint is mirrored, its lane is kept until the mirror is deleted. */
const closeLane = onEvent(webhookEndpointDeleted, async (work, event) => {
  await cancelPending(work.tx, event.subjectId, 'CANCELLED', 'The endpoint was deleted.')
  await run(work.tx, sql`delete from webhook_lane where endpoint_id = ${event.subjectId}::uuid and mirrored_version is null`)
})

export const reactions: Reaction[] = [openLane, wakeDeliveries, skipPending, closeLane]
