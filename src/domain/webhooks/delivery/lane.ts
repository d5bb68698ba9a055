/**
 * Lanes: the endpoints with pending deliveries, and how many of them a worker may claim now. Slots are shared fairly among
 * organizations, and among the endpoints of each.
 */
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import { maxConcurrency } from '../endpoint/index.ts'
import { allowanceOf, isGuarded, type Lane } from './model.ts'

/** What a worker is: its name in leases, and the number of deliveries that it is working on, by endpoint. */
export type Claimant = { name: string; held: ReadonlyMap<string, number> }

/** One row for each endpoint with pending deliveries. Endpoints are found by skipping along the index, without reading every delivery. */
export async function readLanes(tx: Tx, claimant: Claimant): Promise<Lane[]> {
  const found = await rows<LaneRow>(
    tx,
    sql`with recursive waiting(endpoint_id) as (
          (select endpoint_id from webhook_delivery where status = 'PENDING' order by endpoint_id limit 1)
          union all
          select (select d.endpoint_id from webhook_delivery d where d.status = 'PENDING' and d.endpoint_id > w.endpoint_id
                  order by d.endpoint_id limit 1)
          from waiting w where w.endpoint_id is not null)
        select ${laneColumns} from waiting w ${laneJoins(claimant)} where w.endpoint_id is not null`,
  )
  return withOwn(found, claimant)
}

/** Locks the lanes that no other transaction has locked, and reads them under the lock. */
export async function lockLanes(tx: Tx, endpointIds: readonly string[], claimant: Claimant): Promise<Lane[]> {
  const locked = await rows<{ endpointId: string }>(
    tx,
    sql`select endpoint_id from webhook_lane where endpoint_id = any(${endpointIds}::uuid[]) order by endpoint_id for update skip locked`,
  )
  if (locked.length === 0) return []
  const ids = locked.map(({ endpointId }) => endpointId)
  const found = await rows<LaneRow>(tx, sql`select ${laneColumns} from unnest(${ids}::uuid[]) as w(endpoint_id) ${laneJoins(claimant)}`)
  return withOwn(found, claimant)
}

type LaneRow = Omit<Lane, 'ownInFlight'>

const withOwn = (found: readonly LaneRow[], { held }: Claimant): Lane[] =>
  found.map((lane) => ({ ...lane, ownInFlight: held.get(lane.endpointId) ?? 0 }))

const laneColumns = sql`
  w.endpoint_id, e.id is not null as exists, coalesce(e.organization_id, free.organization_id) as organization_id,
  e.rate_limit_per_second, e.max_concurrency, coalesce(e.ordered, false) as ordered, coalesce(e.at_most_once, false) as at_most_once,
  l.rate_used_until, l.breaker_until, app_now() as now, coalesce(first.next_at, free.next_at) as next_at, later.next_at as later_at,
  flight.in_flight, flight.others, flight.others_end_at`

/**
 * In an ordered lane only the first delivery counts, whoever holds it. Two joins, so that each uses its own index. Claims are read in the
 * order of an index, because a bitmap scan would read every claim that has ended since the last vacuum.
 */
const laneJoins = ({ name }: Claimant) => sql`
  left join webhook_endpoint e on e.id = w.endpoint_id
  left join webhook_lane l on l.endpoint_id = w.endpoint_id
  left join lateral (
    select d.next_attempt_at as next_at, d.organization_id from webhook_delivery d
    where e.ordered is not true and d.endpoint_id = w.endpoint_id and d.status = 'PENDING'
      and (d.lease_expires_at is null or d.lease_expires_at < app_now())
    order by d.next_attempt_at limit 1) free on true
  left join lateral (
    select d.next_attempt_at as next_at from webhook_delivery d
    where e.ordered is not true and free.next_at <= app_now() and d.endpoint_id = w.endpoint_id and d.status = 'PENDING'
      and d.next_attempt_at > app_now() and (d.lease_expires_at is null or d.lease_expires_at < app_now())
    order by d.next_attempt_at limit 1) later on true
  left join lateral (
    select d.next_attempt_at as next_at from webhook_delivery d
    where e.ordered and d.endpoint_id = w.endpoint_id and d.status = 'PENDING'
    order by d.position, d.message_id limit 1) first on true
  left join lateral (
    select count(*)::int as in_flight, array_agg(distinct h.lease_owner) filter (where h.lease_owner <> ${name}) as others,
           min(h.lease_expires_at) filter (where h.lease_owner <> ${name}) as others_end_at
    from (select t.lease_owner, t.lease_expires_at from webhook_delivery t
          where (e.ordered or e.max_concurrency is not null or l.breaker_until is not null)
            and t.endpoint_id = w.endpoint_id and t.lease_owner is not null and t.lease_expires_at >= app_now()
          order by t.lease_expires_at limit ${maxConcurrency}) h) flight on true`

export type Share = { lane: Lane; quota: number }

/** An organization may hold up to this many times the slots that it leaves free; a lane likewise within its organization's slots. */
const tenantShare = 3
const laneShare = 2

type Entry = { lane: Lane; held: number; quota: number; left: number }
type Tenant = { held: number; open: Entry[] }

/**
 * Divides a worker's free slots: each goes to the organization that holds the fewest, and within it to the lane that holds the fewest.
 * However many endpoints hang, slots remain for others: no organization takes the last slots of a worker, no lane the last of its
 * organization. A single organization gets at most three quarters of all slots, a single lane half.
 */
export function shareOut(lanes: readonly Lane[], free: number): Share[] {
  const tenants = new Map<string, Tenant>()
  for (const lane of lanes) {
    const tenant = tenants.get(lane.organizationId) ?? { held: 0, open: [] }
    tenants.set(lane.organizationId, tenant)
    tenant.held += lane.ownInFlight
    const left = allowanceOf(lane)
    if (left > 0) tenant.open.push({ lane, held: lane.ownInFlight, quota: 0, left })
  }
  const entries = [...tenants.values()].flatMap(({ open }) => open)
  let eligible = [...tenants.values()]
  for (let unshared = free; unshared > 0; unshared--) {
    eligible = eligible.filter((tenant) => {
      tenant.open = tenant.open.filter((entry) => entry.left > 0 && mayHold(tenant, entry, unshared))
      return tenant.open.length > 0
    })
    if (eligible.length === 0) break
    const tenant = eligible.reduce((a, b) => (b.held < a.held ? b : a))
    const entry = tenant.open.reduce((a, b) => (b.held < a.held ? b : a))
    entry.quota++
    entry.left--
    entry.held++
    tenant.held++
  }
  return entries.filter(({ quota }) => quota > 0).map(({ lane, quota }) => ({ lane, quota }))
}

/** Whether a lane may take one more of the free slots. A lane that holds none always may. */
function mayHold(tenant: Tenant, { held }: Entry, free: number): boolean {
  if (tenant.held > 0 && tenant.held >= tenantShare * free) return false
  const roomOfTenant = (tenantShare / (tenantShare + 1)) * (tenant.held + free) - tenant.held
  return held === 0 || held < laneShare * roomOfTenant
}

export const guardedOf = (lanes: readonly Lane[]): Lane[] => lanes.filter(isGuarded)
