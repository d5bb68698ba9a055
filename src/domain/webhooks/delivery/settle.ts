/** How claimed deliveries are written back, and how pending ones are ended. */
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { keyOf } from './claim.ts'
import type { ClaimedDelivery, Settlement } from './model.ts'

/** Counts an attempt whose outcome was lost, which is no step of the schedule. Returns its number, or null if the claim has been lost. */
export async function countLostAttempt(tx: Tx, delivery: ClaimedDelivery): Promise<number | null> {
  const counted = await row<{ attemptCount: number }>(
    tx,
    sql`update webhook_delivery set attempt_count = attempt_count + 1, schedule_base = schedule_base + 1
        where ${keyOf(delivery)} and lease_epoch = ${delivery.leaseEpoch} returning attempt_count`,
  )
  return counted?.attemptCount ?? null
}

/**
 * Stores the body for an endpoint before the first attempt, so that every attempt sends the same bytes. Returns false if the claim has
 * been lost, the delivery is no longer pending or its payload was removed.
 */
export const keepShape = async (app: App, delivery: ClaimedDelivery, body: string): Promise<boolean> =>
  (await run(
    app.db,
    sql`update webhook_delivery set body = ${body}
        where ${keyOf(delivery)} and lease_epoch = ${delivery.leaseEpoch} and status = 'PENDING'
          and exists (select 1 from webhook_message m where m.id = ${delivery.messageId}::uuid and m.body is not null)`,
  )) > 0

export type Settled = Pick<Settlement, 'messageId' | 'endpointId' | 'status'> & { nextAttemptAt: Date | null }

/**
 * Settles claims in one statement. Returns those that had neither been lost nor been settled before: a batch is written again if the answer
 * to its commit was lost. A delivery that was cancelled or skipped meanwhile keeps that status, and its attempt is counted; one that was
 * resent meanwhile stays due. A settlement that stays PENDING without an attempt is due to a fault of ours. Rows are locked in key order, as
 * in `cancelPending`, so that two batches cannot deadlock.
 */
export const settleDeliveries = (tx: Tx, settlements: readonly Settlement[]): Promise<Settled[]> =>
  rows<Settled>(
    tx,
    sql`with settlement as (
          select * from unnest(
            ${settlements.map((item) => item.messageId)}::uuid[], ${settlements.map((item) => item.endpointId)}::uuid[],
            ${settlements.map((item) => item.leaseEpoch)}::int[], ${settlements.map((item) => item.status)}::webhook_delivery_status[],
            ${settlements.map((item) => item.reason)}::text[], ${settlements.map((item) => item.attemptCount)}::int[],
            ${settlements.map((item) => item.retryInMs)}::float8[], ${settlements.map((item) => item.dueAt)}::timestamptz[])
            as s(message_id, endpoint_id, lease_epoch, status, reason, attempt_count, retry_in_ms, due_at)),
        held as (
          select d.message_id, d.endpoint_id, d.status = 'PENDING' and d.next_attempt_at is distinct from t.due_at as resent
          from webhook_delivery d join settlement t using (message_id, endpoint_id, lease_epoch) where d.lease_expires_at is not null
          order by d.message_id, d.endpoint_id for update of d)
        update webhook_delivery d
        set status = case when d.status = 'PENDING' and not h.resent then t.status else d.status end,
            reason = case when d.status = 'PENDING' and not h.resent then t.reason else d.reason end,
            attempt_count = t.attempt_count,
            next_attempt_at = case when h.resent then d.next_attempt_at
                                   when d.status = 'PENDING' and t.status = 'PENDING'
                                   then app_now() + t.retry_in_ms * interval '1 millisecond' end,
            trigger = case when d.trigger = 'MANUAL' and not h.resent and t.attempt_count > d.attempt_count then 'AUTOMATIC'::webhook_attempt_trigger else d.trigger end,
            fault_since = case when t.status = 'PENDING' and t.attempt_count = d.attempt_count then coalesce(d.fault_since, app_now()) end,
            lease_owner = null, lease_expires_at = null, in_doubt = false
        from settlement t join held h using (message_id, endpoint_id)
        where d.message_id = t.message_id and d.endpoint_id = t.endpoint_id and d.lease_epoch = t.lease_epoch
        returning d.message_id, d.endpoint_id, d.status, d.next_attempt_at`,
  )

/** Ends all pending deliveries of an endpoint. The attempt of a request in flight is still recorded; no retry follows. */
export const cancelPending = (tx: Tx, endpointId: string, status: 'SKIPPED' | 'CANCELLED', reason: string): Promise<number> =>
  run(
    tx,
    sql`with held as (
          select message_id, endpoint_id from webhook_delivery where endpoint_id = ${endpointId}::uuid and status = 'PENDING'
          order by message_id, endpoint_id for update)
        update webhook_delivery d set status = ${status}::webhook_delivery_status, reason = ${reason}, next_attempt_at = null
        from held h where d.message_id = h.message_id and d.endpoint_id = h.endpoint_id`,
  )
