/** How deliveries are claimed, renewed and released. What is sent for them, and how the result is judged, is `attempt`'s. */
import { type Claims, type LeasedRows, renew, takeLease } from '../../../platform/claim.ts'
import { rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { type Claimant, guardedOf, lockLanes, readLanes, type Share, shareOut } from './lane.ts'
import { allowanceOf, type ClaimedDelivery, type Lane, rateUsedAfter } from './model.ts'
import { laneAfter, outlookOf } from './outlook.ts'

/**
 * Claims due deliveries for up to `free` slots of a worker that is working on the deliveries `held`: shared fairly among organizations and
 * endpoints, within the rate, concurrency and order of each endpoint. Lanes are locked only for endpoints that have such a limit.
 */
export async function claimDeliveries(
  app: App,
  worker: string,
  free: number,
  held: readonly ClaimedDelivery[] = [],
): Promise<Claims<ClaimedDelivery>> {
  const claimant = { name: worker, held: countByEndpoint(held) }
  const lanes = await readLanes(app.db, claimant)
  const shares = shareOut(lanes, free)
  const guarded = new Set(guardedOf(lanes))
  const plain = shares.filter(({ lane }) => !guarded.has(lane))
  const limited = shares.filter(({ lane }) => guarded.has(lane))
  const [claimed, underLock] = await Promise.all([
    plain.length > 0 ? claimShares(app, app.db, worker, plain) : [],
    limited.length > 0 ? claimGuarded(app, claimant, limited) : { claimed: [], lanes: [] },
  ])
  const items = [...claimed, ...underLock.claimed]
  const taken = countByEndpoint(items)
  const quotas = new Map(shares.map(({ lane, quota }) => [lane.endpointId, quota]))
  const newest = new Map([...lanes, ...underLock.lanes].map((lane) => [lane.endpointId, lane]))
  const left = [...newest].map(([id, lane]) => laneAfter(lane, { quota: quotas.get(id) ?? 0, taken: taken.get(id) ?? 0 }))
  return { items, ...(await outlookOf(app, left)) }
}

const countByEndpoint = (deliveries: readonly ClaimedDelivery[]): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const { endpointId } of deliveries) counts.set(endpointId, (counts.get(endpointId) ?? 0) + 1)
  return counts
}

/** Locks the lanes, so that two workers do not both use what is left of a limit. Returns them as read under the lock. */
const claimGuarded = (app: App, claimant: Claimant, wanted: readonly Share[]): Promise<{ claimed: ClaimedDelivery[]; lanes: Lane[] }> =>
  app.db.transaction(async (tx) => {
    const quotas = new Map(wanted.map(({ lane, quota }) => [lane.endpointId, quota]))
    const lanes = await lockLanes(tx, [...quotas.keys()], claimant)
    const shares = lanes
      .map((lane) => ({ lane, quota: Math.min(allowanceOf(lane), quotas.get(lane.endpointId) ?? 0) }))
      .filter(({ quota }) => quota > 0)
    if (shares.length === 0) return { claimed: [], lanes }
    const claimed = await claimShares(app, tx, claimant.name, shares)
    const taken = countByEndpoint(claimed)
    const used = shares.flatMap(({ lane }) => {
      const until = rateUsedAfter(lane, taken.get(lane.endpointId) ?? 0)
      return lane.rateLimitPerSecond !== null && until ? [{ id: lane.endpointId, until }] : []
    })
    if (used.length > 0) {
      await run(
        tx,
        sql`update webhook_lane l set rate_used_until = u.until
            from unnest(${used.map(({ id }) => id)}::uuid[], ${used.map(({ until }) => until)}::timestamptz[]) as u(id, until)
            where l.endpoint_id = u.id`,
      )
    }
    return { claimed, lanes }
  })

/**
 * Claims the deliveries that have waited longest. For an ordered endpoint that is only the first by position; behind an open breaker it
 * is one probe, preferably a manual one that was requested since the breaker let it through. These two are selected before they are
 * locked: if another transaction holds the row, nothing is claimed, instead of the next one.
 */
const claimShares = (app: App, tx: Tx, worker: string, shares: readonly Share[]): Promise<ClaimedDelivery[]> =>
  rows<ClaimedDelivery>(
    tx,
    sql`with share as (
          select * from unnest(${shares.map(({ lane }) => lane.endpointId)}::uuid[], ${shares.map(({ quota }) => quota)}::int[],
            ${shares.map(({ lane }) => lane.ordered)}::bool[], ${shares.map(({ lane }) => lane.atMostOnce)}::bool[],
            ${shares.map(({ lane }) => lane.breakerUntil)}::timestamptz[])
            as s(endpoint_id, quota, ordered, at_most_once, breaker_until)),
        candidate as (
          select d.message_id, d.endpoint_id, d.in_doubt, d.lease_owner, s.at_most_once from share s cross join lateral (
            select t.message_id, t.endpoint_id, t.in_doubt, t.lease_owner from webhook_delivery t
            where not s.ordered and s.breaker_until is null and t.endpoint_id = s.endpoint_id and t.status = 'PENDING' and t.next_attempt_at <= app_now()
              and (t.lease_expires_at is null or t.lease_expires_at < app_now())
            order by t.next_attempt_at limit s.quota for update skip locked) d
          union all
          select d.message_id, d.endpoint_id, d.in_doubt, d.lease_owner, s.at_most_once from share s cross join lateral (
            (select h.message_id, 1 as rank from webhook_delivery h
             where s.ordered and h.endpoint_id = s.endpoint_id and h.status = 'PENDING'
             order by h.position, h.message_id limit 1)
            union all
            (select p.message_id, 1 from webhook_delivery p
             where not s.ordered and s.breaker_until is not null and p.endpoint_id = s.endpoint_id and p.status = 'PENDING'
               and p.trigger in ('MANUAL', 'TEST') and p.next_attempt_at between s.breaker_until and app_now()
               and (p.lease_expires_at is null or p.lease_expires_at < app_now())
             order by p.next_attempt_at limit 1)
            union all
            (select p.message_id, 2 from webhook_delivery p
             where not s.ordered and s.breaker_until is not null and p.endpoint_id = s.endpoint_id and p.status = 'PENDING'
               and p.next_attempt_at <= app_now() and (p.lease_expires_at is null or p.lease_expires_at < app_now())
             order by p.next_attempt_at limit 1)
            order by rank limit 1) first
          cross join lateral (
            select t.message_id, t.endpoint_id, t.in_doubt, t.lease_owner from webhook_delivery t
            where t.message_id = first.message_id and t.endpoint_id = s.endpoint_id and t.status = 'PENDING' and t.next_attempt_at <= app_now()
              and (t.lease_expires_at is null or t.lease_expires_at < app_now())
            for update skip locked) d)
        update webhook_delivery t
        set ${takeLease(worker, app.settings.WORKER_LEASE_MS)}, in_doubt = c.at_most_once
        from candidate c where c.message_id = t.message_id and c.endpoint_id = t.endpoint_id
        returning t.*, (c.in_doubt and c.at_most_once) as was_in_doubt, c.lease_owner as lost_by`,
  )

/** The row of a claimed delivery, as a condition. */
export const keyOf = (delivery: ClaimedDelivery) =>
  sql`message_id = ${delivery.messageId}::uuid and endpoint_id = ${delivery.endpointId}::uuid`

export const deliveryRows: LeasedRows<ClaimedDelivery> = { table: 'webhook_delivery', match: keyOf }

export const renewDelivery = (app: App, delivery: ClaimedDelivery): Promise<boolean> =>
  renew(app.db, 'webhook_delivery', keyOf(delivery), delivery.leaseEpoch, app.settings.WORKER_LEASE_MS)

/**
 * Releases a claim; does nothing if it has been lost. Unless `untried`, the outcome of its attempt is unknown, and the row keeps the
 * worker for the next claimant to record.
 */
export const releaseDelivery = (app: App, delivery: ClaimedDelivery, untried = false): Promise<number> =>
  run(
    app.db,
    sql`update webhook_delivery
        set lease_expires_at = null, lease_owner = case when ${untried} then null else lease_owner end, in_doubt = in_doubt and not ${untried}
        where ${keyOf(delivery)} and lease_epoch = ${delivery.leaseEpoch}`,
  )
