/** States of instances and of a service's runtime, and the transitions between them. All pure. */
import type { Instance, RuntimeStatus, WebServiceKind } from '../../../generated/prisma/client.ts'

/** State of a service in a pass of the reconciler. */
export type ServiceState = {
  kind: WebServiceKind
  desiredState: 'RUNNING' | 'STOPPED' | 'DELETED'
  generation: number
  minInstances: number
  maxInstances: number
  /** Number of instances that the load requires, not yet limited to minInstances and maxInstances. */
  wanted: number
  liveDeploymentId: string | null
  /** A running deployment manages its own instances until it is live or has ended. */
  activeDeploymentId: string | null
  /** Whether the active deployment needs all other instances to be stopped. */
  standsAside: boolean
  /** Whether instances have something that only one of them can have: a disk. The next one starts when no other one is left. */
  isExclusive: boolean
}

export type InstanceState = Pick<Instance, 'id' | 'deploymentId' | 'generation' | 'status' | 'routed'> & {
  draining: boolean
  drained: boolean
  /** Number of consecutive crashes. An instance that was lost with its machine has not crashed. */
  crashes: number
  /** Whether the delay before its next start is over. */
  startDue: boolean
  /** `lost`: it was ended by a shutdown of Quayside or of the machine; it did not exit by itself. */
  observed: 'running' | 'exited' | 'lost' | 'missing'
}

export type Action =
  | { type: 'add'; count: number }
  | { type: 'start'; id: string }
  | { type: 'crashed'; id: string }
  | { type: 'drain'; id: string }
  | { type: 'stop'; id: string }
  | { type: 'remove'; id: string }

export const wantedInstances = (service: ServiceState): number =>
  service.desiredState !== 'RUNNING' || service.liveDeploymentId === null || service.kind === 'STATIC_SITE' || service.standsAside
    ? 0
    : Math.min(Math.max(service.wanted, service.minInstances), service.maxInstances)

/** Plans the actions that bring the instances to the desired state of the service. The actions are idempotent. */
export function planInstances(service: ServiceState, instances: readonly InstanceState[]): Action[] {
  const owned = instances.filter((instance) => instance.deploymentId !== service.activeDeploymentId)
  const leaving = owned.filter((instance) => instance.status === 'STOPPING' || instance.draining)
  const staying = owned.filter((instance) => !leaving.includes(instance))
  const current = staying.filter(
    (instance) => instance.deploymentId === service.liveDeploymentId && instance.generation === service.generation,
  )
  const former = staying.filter((instance) => !current.includes(instance))
  const wanted = wantedInstances(service)

  const healthy = current.filter((instance) => instance.status === 'RUNNING' && instance.observed === 'running')
  // Instances of the live release from an earlier generation serve requests until enough new ones are healthy.
  const replaced = former.filter(
    (instance) => instance.deploymentId !== service.liveDeploymentId || wanted === 0 || healthy.length >= wanted || service.isExclusive,
  )
  const surplus = current
    .toSorted((a, b) => Number(a.status === 'RUNNING') - Number(b.status === 'RUNNING') || (a.id < b.id ? 1 : -1))
    .slice(0, Math.max(0, current.length - wanted))
  const kept = current.filter((instance) => !surplus.includes(instance))
  const isAlone = (id: string | null) => !service.isExclusive || instances.every((instance) => instance.id === id)
  const added = isAlone(null) ? wanted - kept.length : 0

  return [
    ...leaving.flatMap(removalStep),
    ...[...replaced, ...surplus].map((instance): Action => ({ type: 'drain', id: instance.id })),
    ...[...kept, ...former.filter((instance) => !replaced.includes(instance))]
      .flatMap(keepStep)
      .filter((action) => action.type !== 'start' || isAlone(action.id)),
    ...(added > 0 ? [{ type: 'add', count: added } as const] : []),
  ]
}

/** The next step in removing an instance: it is drained, stopped, and then its row is deleted. */
function removalStep(instance: InstanceState): Action[] {
  if (instance.observed !== 'running') return [{ type: 'remove', id: instance.id }]
  if (instance.status === 'STOPPING' || instance.drained) return [{ type: 'stop', id: instance.id }]
  return []
}

function keepStep(instance: InstanceState): Action[] {
  // Even if a process is running unexpectedly: a start stops it first.
  if (instance.status === 'CRASHED') return instance.startDue ? [{ type: 'start', id: instance.id }] : []
  if (instance.observed === 'running') return []
  if (instance.observed === 'lost') return [{ type: 'start', id: instance.id }]
  // A missing process is expected before the first start. Later, it means that the instance crashed.
  if (instance.status === 'STARTING' && instance.observed === 'missing') return [{ type: 'start', id: instance.id }]
  return [{ type: 'crashed', id: instance.id }]
}

/** Status of a service, derived from its instances. */
export function statusOf(service: ServiceState, instances: readonly InstanceState[]): RuntimeStatus {
  const wanted = wantedInstances(service)
  const owned = instances.filter((instance) => instance.deploymentId !== service.activeDeploymentId)
  if (service.desiredState !== 'RUNNING' || service.liveDeploymentId === null) return owned.length > 0 ? 'STOPPING' : 'STOPPED'
  if (service.kind === 'STATIC_SITE') return 'RUNNING'
  const healthy = owned.filter((instance) => instance.status === 'RUNNING' && instance.observed === 'running' && !instance.draining).length
  if (service.standsAside) return healthy > 0 ? 'RUNNING' : 'STARTING'
  if (healthy >= wanted) return 'RUNNING'
  if (healthy > 0) return 'DEGRADED'
  // Also while it restarts, so that the status of a service in a crash loop does not alternate.
  return owned.some((instance) => instance.crashes > 0 && instance.status !== 'STOPPING' && !instance.draining) ? 'CRASHED' : 'STARTING'
}

/**
 * Whether requests need not wait any more for the instance that replaces the former one: it takes them, or it has crashed, or none is
 * wanted.
 */
export function isReplaced(service: ServiceState, instances: readonly InstanceState[]): boolean {
  if (service.standsAside) return false
  const current = instances.filter(
    ({ deploymentId, generation, draining }) => deploymentId === service.liveDeploymentId && generation === service.generation && !draining,
  )
  return wantedInstances(service) === 0 || current.some(({ status, crashes }) => status === 'RUNNING' || crashes > 0)
}

/** Delay before a crashed instance is restarted. Doubles with each consecutive crash, up to five minutes. */
export const restartDelayMs = (crashes: number, baseMs: number): number => Math.min(baseMs * 2 ** Math.max(0, crashes - 1), 300_000)

/** Requests in flight per instance at which another instance is added. */
const busyInFlight = 20

/** The change that the load requires: one more instance if all are busy, one fewer if the others can handle the load. */
export function scaleBy(inFlight: number, running: number): 'more' | 'less' | 'same' {
  if (running > 0 && inFlight >= busyInFlight * running) return 'more'
  return inFlight < busyInFlight * (running - 1) ? 'less' : 'same'
}

/** Variables that Quayside sets for every build, release command and instance. */
export function platformVariables(facts: {
  serviceId: string
  serviceName: string
  serviceSlug: string
  /** Null before the first deployment. */
  deploymentId: string | null
  environmentName: string
  environmentType: string
  commitHash: string | null
  branch: string | null
}): Record<string, string> {
  return {
    QUAYSIDE: 'true',
    QUAYSIDE_SERVICE_ID: facts.serviceId,
    QUAYSIDE_SERVICE_NAME: facts.serviceName,
    QUAYSIDE_SERVICE_SLUG: facts.serviceSlug,
    ...(facts.deploymentId ? { QUAYSIDE_DEPLOYMENT_ID: facts.deploymentId } : {}),
    QUAYSIDE_ENVIRONMENT: facts.environmentName,
    QUAYSIDE_ENVIRONMENT_TYPE: facts.environmentType.toLowerCase(),
    ...(facts.commitHash ? { QUAYSIDE_GIT_COMMIT: facts.commitHash } : {}),
    ...(facts.branch ? { QUAYSIDE_GIT_BRANCH: facts.branch } : {}),
  }
}
