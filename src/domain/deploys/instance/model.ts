/** What an instance and a service's runtime may be, and the pure rules by which one state leads to the next. */
import type { Instance, RuntimeStatus, WebServiceKind } from '../../../generated/prisma/client.ts'

/** One service as a pass of the reconciler sees it. */
export type ServiceState = {
  kind: WebServiceKind
  desiredState: 'RUNNING' | 'STOPPED' | 'DELETED'
  generation: number
  minInstances: number
  maxInstances: number
  /** From the load; clamped here. */
  wanted: number
  liveDeploymentId: string | null
  /** A deployment that runs owns its instances until it is live or has ended. */
  activeDeploymentId: string | null
}

export type InstanceState = Pick<Instance, 'id' | 'deploymentId' | 'generation' | 'status' | 'routed'> & {
  draining: boolean
  drained: boolean
  /** How often in a row it ended by itself; zero for one that was lost with its machine. */
  crashes: number
  /** Its wait before the next start is over. */
  startDue: boolean
  /** `lost`: it did not end by itself, but by a stop of the whole or with the machine. */
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
  service.desiredState !== 'RUNNING' || service.liveDeploymentId === null || service.kind === 'STATIC_SITE'
    ? 0
    : Math.min(Math.max(service.wanted, service.minInstances), service.maxInstances)

/** What has to be done so that the instances become what the service wants. Doing it twice does no harm. */
export function planInstances(service: ServiceState, instances: readonly InstanceState[]): Action[] {
  const owned = instances.filter((instance) => instance.deploymentId !== service.activeDeploymentId)
  const going = owned.filter((instance) => instance.status === 'STOPPING' || instance.draining)
  const staying = owned.filter((instance) => !going.includes(instance))
  const current = staying.filter(
    (instance) => instance.deploymentId === service.liveDeploymentId && instance.generation === service.generation,
  )
  const former = staying.filter((instance) => !current.includes(instance))
  const wanted = wantedInstances(service)

  const healthy = current.filter((instance) => instance.status === 'RUNNING' && instance.observed === 'running')
  // Of the live release but an earlier generation: they answer until as many new ones do.
  const relieved = former.filter(
    (instance) => instance.deploymentId !== service.liveDeploymentId || wanted === 0 || healthy.length >= wanted,
  )
  const surplus = current
    .toSorted((a, b) => Number(a.status === 'RUNNING') - Number(b.status === 'RUNNING') || (a.id < b.id ? 1 : -1))
    .slice(0, Math.max(0, current.length - wanted))
  const kept = current.filter((instance) => !surplus.includes(instance))

  return [
    ...going.flatMap(endOf),
    ...[...relieved, ...surplus].map((instance): Action => ({ type: 'drain', id: instance.id })),
    ...[...kept, ...former.filter((instance) => !relieved.includes(instance))].flatMap(keep),
    ...(kept.length < wanted ? [{ type: 'add', count: wanted - kept.length } as const] : []),
  ]
}

/** The last steps of an instance that is going: it drains, is stopped, and its row goes. */
function endOf(instance: InstanceState): Action[] {
  if (instance.observed !== 'running') return [{ type: 'remove', id: instance.id }]
  if (instance.status === 'STOPPING' || instance.drained) return [{ type: 'stop', id: instance.id }]
  return []
}

function keep(instance: InstanceState): Action[] {
  // Also where a process runs after all, noted by nobody: a start ends it first.
  if (instance.status === 'CRASHED') return instance.startDue ? [{ type: 'start', id: instance.id }] : []
  if (instance.observed === 'running') return []
  if (instance.observed === 'lost') return [{ type: 'start', id: instance.id }]
  // A row that was never started has no process yet; one that ran has lost it.
  if (instance.status === 'STARTING' && instance.observed === 'missing') return [{ type: 'start', id: instance.id }]
  return [{ type: 'crashed', id: instance.id }]
}

/** A service's status, from what is seen of it. */
export function statusOf(service: ServiceState, instances: readonly InstanceState[]): RuntimeStatus {
  const wanted = wantedInstances(service)
  const owned = instances.filter((instance) => instance.deploymentId !== service.activeDeploymentId)
  if (service.desiredState !== 'RUNNING' || service.liveDeploymentId === null) return owned.length > 0 ? 'STOPPING' : 'STOPPED'
  if (service.kind === 'STATIC_SITE') return 'RUNNING'
  const healthy = owned.filter((instance) => instance.status === 'RUNNING' && instance.observed === 'running' && !instance.draining).length
  if (healthy >= wanted) return 'RUNNING'
  if (healthy > 0) return 'DEGRADED'
  // Also while it is on its way up again: a service that crashes in a loop has one status, not two in turn.
  return owned.some((instance) => instance.crashes > 0 && instance.status !== 'STOPPING' && !instance.draining) ? 'CRASHED' : 'STARTING'
}

/** The wait before a crashed instance is started again: doubled with each crash in a row, five minutes at most. */
export const restartDelayMs = (crashes: number, baseMs: number): number => Math.min(baseMs * 2 ** Math.max(0, crashes - 1), 300_000)

/** Requests in flight at each instance before another one is added. */
const busyInFlight = 20

/** What the load asks for: one more when all are busy, one less when the rest could carry it. */
export function scaleBy(inFlight: number, running: number): 'more' | 'less' | 'same' {
  if (running > 0 && inFlight >= busyInFlight * running) return 'more'
  return inFlight < busyInFlight * (running - 1) ? 'less' : 'same'
}

/** Variables that Quayside gives every build, release command and instance. */
export function platformVariables(facts: {
  serviceId: string
  serviceName: string
  serviceSlug: string
  /** Null where nothing is deployed yet. */
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
