/** State that a pass of the reconciler reads: the services that may need changes, all instances, and which of them are running. */
import type { Instance, RuntimeStatus, WebServiceKind } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { ExtraSettings } from '../../apps/web-service/index.ts'
import { hasDisk } from '../disk/index.ts'
import { activeStatuses } from './deployment-status.ts'
import type { InstanceState, ServiceState } from './model.ts'
import { type Observation, runtimePort } from './ports.ts'

export type ServiceRow = Omit<ServiceState, 'kind'> & {
  id: string
  organizationId: string
  projectId: string
  name: string
  slug: string
  kind: WebServiceKind
  status: RuntimeStatus
  shutdownGraceMs: number
  healthCheckPath: string | null
  healthTimeoutMs: number
  quietTooLong: boolean | null
  heldSince: Date | null
  extra: ExtraSettings | null
}

export type InstanceRow = Instance & {
  inFlight: number
  startDue: boolean
  drainTimedOut: boolean
  settled: boolean
  startTimedOut: boolean
  ranCalmly: boolean
}

/** The candidates are found by indexes: most services have neither run for long nor are to run. */
export const readServices = (app: App): Promise<ServiceRow[]> =>
  rows<ServiceRow>(
    app.db,
    sql`with candidate as materialized (
          select web_service_id from service_runtime where status <> 'STOPPED'
          union select web_service_id from deployment where status = 'LIVE'
          union select web_service_id from instance)
        select s.id, s.organization_id, s.project_id, s.name, s.slug, coalesce(live.settings->>'kind', s.kind::text) as kind, s.desired_state, s.generation, s.min_instances, s.max_instances,
               s.shutdown_grace_ms, s.health_timeout_ms, live.settings->>'healthCheckPath' as health_check_path, live.settings->'extra' as extra,
               live.id as live_deployment_id, active.id as active_deployment_id, rt.status, rt.wanted, rt.held_since,
               coalesce(rt.aside_for_id = active.id, false) as stands_aside, ${hasDisk} as is_exclusive,
               rt.quiet_since < app_now() - ${app.settings.SCALE_QUIET_MS} * interval '1 millisecond' as quiet_too_long
        from candidate c join web_service s on s.id = c.web_service_id join service_runtime rt on rt.web_service_id = s.id
        left join deployment live on live.web_service_id = s.id and live.status = 'LIVE'
        left join deployment active on active.web_service_id = s.id and active.status in ${activeStatuses.list}
        where rt.status <> 'STOPPED' or (s.desired_state = 'RUNNING' and live.id is not null)
           or exists (select 1 from instance i where i.web_service_id = s.id)`,
  )

/** While the router holds requests for the next instance, those of the former one, such as open WebSockets, may use only part of that time. */
const drainingShare = 3

export const readInstances = (app: App): Promise<InstanceRow[]> => {
  const { DRAIN_TIMEOUT_MS: drainMs, DISK_SWITCH_HOLD_MS: holdMs } = app.settings
  const allowedMs = sql`case when rt.held_since is null then ${drainMs}::float8 else ${Math.min(drainMs, holdMs / drainingShare)}::float8 end`
  return rows<InstanceRow>(
    app.db,
    sql`select i.*, coalesce((select sum((r.load->>i.id::text)::int) from router r where r.expires_at > app_now()), 0)::int as in_flight,
               coalesce(i.next_start_at <= app_now(), true) as start_due,
               coalesce(i.draining_since < app_now() - ${allowedMs} * interval '1 millisecond', false) as drain_timed_out,
               coalesce(i.started_at < app_now() - ${app.settings.WORKER_VERIFY_MS} * interval '1 millisecond', false) as settled,
               coalesce(i.started_at < app_now() - s.health_timeout_ms * interval '1 millisecond', false) as start_timed_out,
               coalesce(i.started_at < app_now() - interval '1 minute', false) as ran_calmly
        from instance i join web_service s on s.id = i.web_service_id join service_runtime rt on rt.web_service_id = i.web_service_id
        order by i.id`,
  )
}

/**
 * `watched`: this process has observed the instance running. An unobserved exit without an exit code is not a crash: its cause also
 * stopped the control plane.
 */
export const stateOf = (instance: InstanceRow, seen: Observation | undefined, watched: boolean): InstanceState => ({
  id: instance.id,
  deploymentId: instance.deploymentId,
  generation: instance.generation,
  status: instance.status,
  routed: instance.routed,
  draining: instance.drainingSince !== null,
  drained: instance.drainedAt !== null || instance.drainTimedOut,
  crashes: instance.crashes,
  startDue: instance.startDue,
  observed: seen?.state === 'exited' && isLost(seen, watched) ? 'lost' : (seen?.state ?? 'missing'),
})

const isLost = ({ cause, exitCode }: Extract<Observation, { state: 'exited' }>, watched: boolean) =>
  cause !== 'itself' || (exitCode === null && !watched)

/** Observations by instance id. An instance that can't be observed does not affect the others. */
export async function observeAll(app: App, instances: readonly InstanceRow[]): Promise<Map<string, Observation>> {
  const runtime = runtimePort.use(app)
  const ids = instances.map((instance) => instance.id)
  const observed = await runtime.observe(ids).catch(async (error) => {
    app.log.error({ err: error }, 'Instances could not be observed in one call. Observing them one by one.')
    // Assume that an instance is running if it can't be observed, so that it is not started a second time.
    const assumed = (instanceId: string): Observation => ({ instanceId, state: 'running', startedAt: app.clock.now() })
    return Promise.all(ids.map(async (id) => (await runtime.observe([id]).catch(() => []))[0] ?? assumed(id)))
  })
  return new Map(observed.map((seen) => [seen.instanceId, seen]))
}
