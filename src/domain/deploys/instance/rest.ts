/**
 * Rests of the reconciler. While every service is as it should be, nothing changes without a wake-up or an event in the runtime, so it only
 * observes the instances, without a statement, and reads the database rarely.
 */
import type { App } from '../../../platform/work.ts'
import { type InstanceState, planInstances, statusOf } from './model.ts'
import { runtimePort } from './ports.ts'
import type { InstanceRow, ServiceRow } from './survey.ts'

export type Rest = {
  /** Time of the next pass, on the monotonic clock. */
  until: number
  isWoken: boolean
  /** The instances of the last pass. All were running. */
  instanceIds: string[]
}

const longestRestMs = 5_000

/** A rest that ends at once. */
export const noRest = (): Rest => ({ until: 0, isWoken: false, instanceIds: [] })

/** Lease and health checks must not be late because of a rest. */
export const restOf = ({ clock, settings }: App, instances: readonly InstanceRow[]): Rest => ({
  until: clock.elapsedMs() + Math.min(longestRestMs, settings.HEALTH_WATCH_MS, settings.WORKER_LEASE_MS / 3),
  isWoken: false,
  instanceIds: instances.map(({ id }) => id),
})

/** Whether the rest has not ended, and all instances are still running. */
export async function isResting(app: App, { until, isWoken, instanceIds }: Rest): Promise<boolean> {
  if (isWoken || app.clock.elapsedMs() >= until) return false
  const observed = await runtimePort
    .use(app)
    .observe(instanceIds)
    .catch(() => [])
  return observed.length === instanceIds.length && observed.every(({ state }) => state === 'running')
}

/** Whether a service is as it should be, and nothing about it depends on the time that passes. */
export const isSteady = (service: ServiceRow, instances: readonly InstanceRow[], states: readonly InstanceState[]): boolean =>
  service.status === statusOf(service, states) &&
  service.activeDeploymentId === null &&
  service.heldSince === null &&
  service.quietTooLong === null &&
  planInstances(service, states).length === 0 &&
  instances.every(({ status, drainingSince, startedAt }) => status === 'RUNNING' && drainingSince === null && startedAt !== null) &&
  !(service.maxInstances > service.minInstances && instances.some(({ inFlight }) => inFlight > 0))
