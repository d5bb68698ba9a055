/** Health of endpoints: the breaker of endpoints that do not respond, and since when all attempts have failed. */
import { row, rows, run, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import type { App, Work } from '../../../platform/work.ts'

/** Outcome of one attempt for its endpoint. `silent` means no response; `isTest` means that it can close the breaker, but has no other effect. */
export type LaneOutcome = { endpointId: string; accepted: boolean; silent: boolean; isTest: boolean }

/** A change of health caused by a batch of attempts, to be reported by `reportHealth`. */
export type HealthChange =
  | { endpointId: string; kind: 'recovered'; failingSince: Date }
  | { endpointId: string; kind: 'warn' | 'disable'; failingSince: Date }

/** Number of consecutive attempts without a response that opens the breaker. */
const maxSilentFailures = 20
/** After a pause of this share of the limit, the failing period starts again, so that two failures far apart do not disable an endpoint. */
const silenceShare = 0.2
const warnShare = 0.5

/** Records attempts in the transaction that settles them. After a crash, the next attempts return the same changes again. */
export async function recordOutcomes(tx: Tx, app: App, outcomes: readonly LaneOutcome[]): Promise<HealthChange[]> {
  const byEndpoint = Map.groupBy(outcomes, ({ endpointId }) => endpointId)
  const accepted: { id: string; isTest: boolean }[] = []
  const failed: { id: string; silent: number; answered: boolean }[] = []
  for (const [id, attempts] of byEndpoint) {
    const succeeded = attempts.filter((each) => each.accepted)
    if (succeeded.length > 0) accepted.push({ id, isTest: succeeded.every(({ isTest }) => isTest) })
    else failed.push({ id, silent: attempts.filter(({ silent }) => silent).length, answered: attempts.some(({ silent }) => !silent) })
  }
  return [...(await recordAccepted(tx, accepted)), ...(await recordFailed(tx, app, failed))]
}

async function recordAccepted(tx: Tx, accepted: readonly { id: string; isTest: boolean }[]): Promise<HealthChange[]> {
  if (accepted.length === 0) return []
  const changed = await rows<{ endpointId: string; failingSince: Date | null; warnedAt: Date | null; isTest: boolean }>(
    tx,
    sql`with outcome as (
          select * from unnest(${accepted.map(({ id }) => id)}::uuid[], ${accepted.map(({ isTest }) => isTest)}::bool[]) as a(endpoint_id, is_test)),
        before as (
          select l.endpoint_id, l.failing_since, l.warned_at, o.is_test from webhook_lane l join outcome o using (endpoint_id)
          where l.failing_since is not null or l.silent_failures > 0 or l.breaker_until is not null or l.warned_at is not null
          order by l.endpoint_id for update of l)
        update webhook_lane l
        set failing_since = case when b.is_test then l.failing_since end, last_failure_at = case when b.is_test then l.last_failure_at end,
            silent_failures = 0, breaker_until = null
        from before b where b.endpoint_id = l.endpoint_id
        returning b.endpoint_id, coalesce(b.failing_since, b.warned_at) as failing_since, b.warned_at, b.is_test`,
  )
  return changed.flatMap(({ endpointId, failingSince, warnedAt, isTest }) =>
    !isTest && warnedAt && failingSince ? [{ endpointId, kind: 'recovered' as const, failingSince }] : [],
  )
}

async function recordFailed(
  tx: Tx,
  app: App,
  failed: readonly { id: string; silent: number; answered: boolean }[],
): Promise<HealthChange[]> {
  if (failed.length === 0) return []
  const limitMs = app.settings.WEBHOOK_DISABLE_AFTER_MS
  const changed = await rows<{ endpointId: string; failingSince: Date; warnedAt: Date | null; failingMs: number }>(
    tx,
    sql`with outcome as (
          select * from unnest(${failed.map(({ id }) => id)}::uuid[], ${failed.map(({ silent }) => silent)}::int[],
                               ${failed.map(({ answered }) => answered)}::bool[]) as f(endpoint_id, silent, answered)),
        held as (
          select l.endpoint_id, o.silent, o.answered,
                 l.failing_since is null or l.last_failure_at < app_now() - ${limitMs * silenceShare} * interval '1 millisecond' as restarts,
                 case when o.answered then 0 else l.silent_failures + o.silent end as silent_failures
          from webhook_lane l join outcome o using (endpoint_id) order by l.endpoint_id for update of l)
        update webhook_lane l
        set failing_since = case when h.restarts then app_now() else l.failing_since end,
            warned_at = case when h.restarts then null else l.warned_at end,
            last_failure_at = app_now(), silent_failures = h.silent_failures,
            breaker_until = case when h.silent_failures >= ${maxSilentFailures} then app_now() + ${breakerMs(app)} * interval '1 millisecond' end
        from held h left join webhook_endpoint e on e.id = h.endpoint_id
        where h.endpoint_id = l.endpoint_id
        returning l.endpoint_id, l.failing_since, l.warned_at,
                  extract(epoch from app_now() - l.failing_since)::float8 * 1000 as failing_ms`,
  )
  return changed.flatMap(({ endpointId, failingSince, warnedAt, failingMs }): HealthChange[] => {
    if (failingMs >= limitMs && warnedAt) return [{ endpointId, kind: 'disable', failingSince }]
    return failingMs >= limitMs * warnShare && !warnedAt ? [{ endpointId, kind: 'warn', failingSince }] : []
  })
}

/** At most the longest delay of the endpoint's retry schedule, which says how often its owner expects attempts. */
function breakerMs({ settings }: App): Sql {
  const longest = settings.WEBHOOK_RETRY_SCHEDULE_MS.length > 0 ? Math.max(...settings.WEBHOOK_RETRY_SCHEDULE_MS) : null
  return sql`least(${settings.WEBHOOK_BREAKER_MS}::float8,
                   case when e.has_own_schedule then (select max(wait) from unnest(e.retry_schedule_ms) as w(wait))
                        else ${longest}::float8 end)`
}

/** Lets one probe through an open breaker immediately. */
export const probeNow = (work: Work, endpointId: string): Promise<number> =>
  run(work.tx, sql`update webhook_lane set breaker_until = app_now() where endpoint_id = ${endpointId}::uuid and breaker_until > app_now()`)

/** Returns true for only one of several concurrent callers, and only while the endpoint is failing. */
export async function markWarned(work: Work, endpointId: string): Promise<boolean> {
  const marked = await run(
    work.tx,
    sql`update webhook_lane set warned_at = app_now() where endpoint_id = ${endpointId}::uuid and warned_at is null and failing_since is not null`,
  )
  return marked > 0
}

/** Returns true for only one of several concurrent callers, if the endpoint was warned and has not failed since. */
export async function markRecovered(work: Work, endpointId: string): Promise<boolean> {
  const marked = await row(
    work.tx,
    sql`update webhook_lane set warned_at = null
        where endpoint_id = ${endpointId}::uuid and warned_at is not null and failing_since is null returning endpoint_id`,
  )
  return marked !== null
}
