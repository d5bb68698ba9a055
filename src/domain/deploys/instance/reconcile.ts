/**
 * The reconciler: each pass reads the desired state of every service, observes its instances, plans actions with a pure function (model.ts)
 * and performs them. One process at a time does it, by lease. An interrupted pass is repeated by the next one, also after a crash of the
 * control plane or a reboot of the machine.
 */
import type { RuntimeStatus } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { type Chore, dropLease, holdLease } from '../../../platform/claim.ts'
import { outageOf, run, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { createFailureLog, type FailureLog, reportFailure } from '../../../platform/failure-log.ts'
import { encodeId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import { type App, transact } from '../../../platform/work.ts'
import { hostOf } from '../../apps/web-service/index.ts'
import { liftHold } from './aside.ts'
import { environmentOf, noteEnvironments } from './environment-change.ts'
import { webServiceCrashed, webServiceRecovered } from './events.ts'
import { checkHealth } from './health.ts'
import { kindOf } from './kind.ts'
import { addInstances, launchFacts, startInstance } from './launch.ts'
import { type Action, isReplaced, planInstances, restartDelayMs, scaleBy, statusOf } from './model.ts'
import { logForService, resetOutput, storeOutput, watchOutput } from './output.ts'
import { type Observation, runtimePort } from './ports.ts'
import { isResting, isSteady, noRest, type Rest, restOf } from './rest.ts'
import { type InstanceRow, observeAll, readInstances, readServices, type ServiceRow, stateOf } from './survey.ts'

/** What one process remembers between passes; all of it can be lost without harm. */
type Memory = {
  /** Instances with a start, a stop or a probe under way. */
  busy: Set<string>
  probedAt: Map<string, number>
  /** Instances that this process has observed running. */
  watched: Set<string>
  running: Set<Promise<void>>
  failures: { services: FailureLog; instances: FailureLog }
  /** Whether the next pass must not wait for a wake-up: there are instances, another process has the lease, or a service failed. */
  watching: boolean
  rest: Rest
}

const topic = 'instances'

const memoryOf = perApp((app): Memory => {
  const failures = {
    services: createFailureLog(app, { failed: 'a service could not be reconciled', recovered: 'a service is reconciled again' }),
    instances: createFailureLog(app, { failed: 'an instance could not be handled', recovered: 'an instance is handled again' }),
  }
  const memory: Memory = {
    ...{ busy: new Set(), probedAt: new Map(), watched: new Set(), running: new Set() },
    ...{ failures, watching: true, rest: noRest() },
  }
  app.wake.on(topic, () => {
    memory.rest.isWoken = true
  })
  return memory
})

/** Whether this process has the lease for the instances of this machine. */
export const holdsInstances = async (app: App): Promise<boolean> =>
  (await holdLease(app.db, 'instances', app.processId, app.settings.WORKER_LEASE_MS)) !== null

export const reconcileInstances: Chore = {
  name: 'reconcile instances',
  emits: [webServiceCrashed, webServiceRecovered],
  topic,
  everyMs: 5_000,
  dueInMs: (app) => (memoryOf(app).watching ? 500 : null),
  async run(app, signal) {
    const memory = memoryOf(app)
    if (await isResting(app, memory.rest)) return
    memory.rest = noRest()
    const services = await readServices(app)
    memory.watching = services.length > 0
    if (services.length === 0 || !(await holdsInstances(app))) return watchOutput(app, [])
    const instances = await readInstances(app)
    memory.watching = instances.length > 0
    watchOutput(app, instances)
    const observed = await observeAll(app, instances)
    const byService = Map.groupBy(instances, (instance) => instance.webServiceId)
    let isAllSteady = instances.length > 0
    for (const service of services) {
      if (signal.aborted) return
      try {
        if (!(await reconcile(app, service, byService.get(service.id) ?? [], observed))) isAllSteady = false
        memory.failures.services.succeeded(service.id)
      } catch (error) {
        // A failure of one service does not affect the others.
        memory.watching = true
        isAllSteady = false
        memory.failures.services.failed(error, { webServiceId: service.id }, service.id)
      }
    }
    if (isAllSteady && !memory.rest.isWoken) memory.rest = restOf(app, instances)
  },
}

/** For a process that is stopping: waits for actions in progress, then releases the lease, so that another process takes over at once. */
export async function settleReconciler(app: App): Promise<void> {
  await Promise.allSettled(memoryOf(app).running)
  try {
    await dropLease(app.db, 'instances', app.processId)
    app.wake.notify('instances')
  } catch (error) {
    // It expires anyway.
    reportFailure(app, error, 'the lease of the instances could not be released', {}, 'warn')
  }
}

/** Returns whether there is nothing to do for the service. */
async function reconcile(app: App, service: ServiceRow, instances: InstanceRow[], observed: Map<string, Observation>): Promise<boolean> {
  const { watched } = memoryOf(app)
  for (const { id } of instances) if (observed.get(id)?.state === 'running') watched.add(id)
  const states = instances.map((instance) => stateOf(instance, observed.get(instance.id), watched.has(instance.id)))
  await reportStatus(app, service, statusOf(service, states))
  await scale(app, service, instances)
  if (service.heldSince !== null && isReplaced(service, states)) await liftHold(app, service.id, service.heldSince)
  const memory = memoryOf(app)
  for (const action of planInstances(service, states)) {
    if (action.type === 'add') {
      await addInstances(app.db, { ...service, webServiceId: service.id, deploymentId: service.liveDeploymentId! }, action.count)
      app.wake.notify('instances')
    } else if (!memory.busy.has(action.id)) {
      await act(app, service, instances.find((instance) => instance.id === action.id)!, observed.get(action.id), action)
    }
  }
  for (const instance of instances) {
    const seen = observed.get(instance.id)
    const owned = instance.deploymentId !== service.activeDeploymentId
    if (seen?.state === 'running' && instance.startedAt === null) await noteStart(app, instance, seen.startedAt)
    if (owned && seen?.state === 'running' && instance.drainingSince === null && !memory.busy.has(instance.id))
      watchHealth(app, service, instance)
  }
  return isSteady(service, instances, states)
}

async function act(
  app: App,
  service: ServiceRow,
  instance: InstanceRow,
  seen: Observation | undefined,
  action: Exclude<Action, { type: 'add' }>,
): Promise<void> {
  switch (action.type) {
    case 'drain':
      // A worker gets no requests, so it is drained immediately.
      await run(
        app.db,
        sql`update instance set routed = false, draining_since = app_now(), drained_at = ${service.kind === 'WORKER' ? sql`app_now()` : sql`null`}
            where id = ${instance.id}::uuid and draining_since is null`,
      )
      return app.wake.notify('routes', 'instances')
    case 'crashed':
      return noteCrash(app, service, instance, seen)
    case 'start':
      return background(app, instance.id, () => restart(app, service, instance, seen))
    case 'stop':
      await run(app.db, sql`update instance set status = 'STOPPING', routed = false where id = ${instance.id}::uuid`)
      return background(app, instance.id, async () => {
        await runtimePort.use(app).stop(instance.id, { graceMs: service.shutdownGraceMs })
        app.wake.notify('instances')
      })
    case 'remove':
      return background(app, instance.id, async () => {
        await storeOutput(app, instance, { final: true })
        await runtimePort.use(app).forget(instance.id)
        resetOutput(app, instance.id)
        memoryOf(app).probedAt.delete(instance.id)
        memoryOf(app).watched.delete(instance.id)
        await run(app.db, sql`delete from instance where id = ${instance.id}::uuid`)
        app.wake.notify('instances', 'purge', `service:${service.id}`)
      })
  }
}

/** Records the start of an instance whose starter was lost before it could do so. */
const noteStart = (app: App, instance: InstanceRow, startedAt: Date) =>
  run(
    app.db,
    sql`update instance set started_at = least(${startedAt}::timestamptz, app_now()) where id = ${instance.id}::uuid and started_at is null`,
  )

/** Starts an instance without a process: a new one, one that ended with the control plane, or one whose restart is due. */
async function restart(app: App, service: ServiceRow, instance: InstanceRow, seen: Observation | undefined): Promise<void> {
  const crashed = instance.status === 'CRASHED'
  if (crashed || seen?.state === 'exited') {
    await storeOutput(app, instance, { final: true })
    await runtimePort.use(app).forget(instance.id)
    await run(
      app.db,
      sql`update instance set status = 'STARTING', routed = false, restarts = restarts + ${crashed ? 1 : 0}, stdout_offset = 0, stderr_offset = 0, failed_probes = 0
          where id = ${instance.id}::uuid`,
    )
    resetOutput(app, instance.id)
    app.wake.notify('routes')
  }
  try {
    const facts = await launchFacts(app, instance.deploymentId)
    await startInstance(app, instance.id, facts)
    for (const { mountPath, readOnly } of facts.disks) {
      if (readOnly)
        await logForService(
          app,
          service,
          instance.id,
          `The disk at ${mountPath} is over its limit, so it is read-only until that is increased.`,
        )
    }
  } catch (error) {
    // The state of the instance is unknown: the next pass checks again.
    if (outageOf(error) === 'database') throw error
    const reason = error instanceof PortError ? `could not be started (${error.message.replace(/\.$/, '')})` : 'could not be started'
    if (!(error instanceof PortError)) app.log.error({ err: error, instanceId: instance.id }, 'an instance could not be started')
    await noteCrash(app, service, instance, undefined, reason)
  }
}

/** Records an instance that exited or could not be started. It is restarted after a wait that grows with each consecutive crash. */
async function noteCrash(
  app: App,
  service: ServiceRow,
  instance: InstanceRow,
  seen: Observation | undefined,
  reason?: string,
): Promise<void> {
  // It ended with the machine or was never observed, which is not the app's fault: no wait.
  const lost = reason === undefined && seen?.state !== 'exited'
  const exitCode = seen?.state === 'exited' ? seen.exitCode : null
  const crashes = lost ? 0 : instance.ranCalmly ? 1 : instance.crashes + 1
  const delayMs = lost ? 0 : restartDelayMs(crashes, app.settings.RESTART_BACKOFF_MS)
  await run(
    app.db,
    sql`update instance set status = 'CRASHED', routed = false, crashes = ${crashes}, last_exit_code = coalesce(${exitCode}::int, last_exit_code),
          next_start_at = app_now() + ${delayMs} * interval '1 millisecond'
        where id = ${instance.id}::uuid`,
  )
  const what =
    reason ??
    (lost
      ? 'no longer exists'
      : seen?.state === 'exited' && seen.signal
        ? `was terminated by ${seen.signal}`
        : `exited with code ${exitCode ?? 'unknown'}`)
  await logForService(
    app,
    service,
    instance.id,
    `Instance ${encodeId('Instance', instance.id)} ${what}. Restarting in ${Math.ceil(delayMs / 1000)} s.`,
  )
  app.wake.notify('routes', 'instances', `service:${service.id}`)
}

/** Probes an instance: frequently until it is healthy, then less often. One that becomes unhealthy is restarted. */
function watchHealth(app: App, service: ServiceRow, instance: InstanceRow): void {
  const memory = memoryOf(app)
  const starting = instance.status === 'STARTING'
  const now = app.clock.elapsedMs()
  const every = starting ? app.settings.PROBE_INTERVAL_MS : app.settings.HEALTH_WATCH_MS
  if (now - (memory.probedAt.get(instance.id) ?? Number.NEGATIVE_INFINITY) < every) return
  if (service.kind === 'WORKER' && (!starting || !instance.settled)) return
  memory.probedAt.set(instance.id, now)
  background(app, instance.id, async () => {
    const healthy = service.kind === 'WORKER' || (await probe(app, service, instance))
    if (healthy) {
      if (!starting && instance.failedProbes === 0) return
      const takesRequests = service.kind !== 'WORKER'
      // Reads the routed deployment here, because traffic may have switched during the probe.
      await run(
        app.db,
        sql`update instance i set status = 'RUNNING', failed_probes = 0,
              routed = ${takesRequests} and i.deployment_id is not distinct from rt.routed_deployment_id
            from service_runtime rt
            where i.id = ${instance.id}::uuid and rt.web_service_id = i.web_service_id and i.status in ('STARTING', 'RUNNING') and i.draining_since is null`,
      )
      return app.wake.notify('routes', 'instances', `service:${service.id}`)
    }
    const failures = instance.failedProbes + 1
    if (starting ? instance.startTimedOut : failures >= (kindOf(app, service.kind)?.failuresAllowed ?? 3)) {
      await runtimePort.use(app).stop(instance.id, { graceMs: service.shutdownGraceMs })
      return noteCrash(app, service, instance, undefined, 'failed its health check')
    }
    if (!starting) await run(app.db, sql`update instance set failed_probes = ${failures} where id = ${instance.id}::uuid`)
  })
}

/** A new instance is checked through the router, like a visitor's request; one that is routed already is probed directly. */
async function probe(app: App, service: ServiceRow, { id: instanceId, status, deploymentId }: InstanceRow): Promise<boolean> {
  const timeoutMs = 5_000
  if (status !== 'STARTING') return (await runtimePort.use(app).probe({ path: service.healthCheckPath, timeoutMs, instanceId })).ok
  const extension = kindOf(app, service.kind)
  const named = { serviceId: encodeId('WebService', service.id), deploymentId: encodeId('Deployment', deploymentId), digest: null }
  const place = { host: hostOf(service, app.settings.ROUTER_DOMAIN), target: { ...named, instanceId, rules: extension?.rules ?? [] } }
  for (const check of [{ path: service.healthCheckPath }, ...(extension?.checks(service.extra ?? {}) ?? [])]) {
    if (!(await checkHealth(app, { ...check, ...place, timeoutMs })).ok) return false
  }
  return true
}

/** Runs a long action in the background, one per instance at a time. */
function background(app: App, instanceId: string, work: () => Promise<void>): void {
  const memory = memoryOf(app)
  memory.busy.add(instanceId)
  const { instances } = memory.failures
  const running = work()
    .then(
      () => instances.succeeded(instanceId),
      (error) => void instances.failed(error, { instanceId }, instanceId),
    )
    .finally(() => {
      memory.busy.delete(instanceId)
      memory.running.delete(running)
    })
  memory.running.add(running)
}

async function reportStatus(app: App, service: ServiceRow, status: RuntimeStatus): Promise<void> {
  if (status === service.status) return
  await transact(app, systemCaller(service.organizationId), { emits: [webServiceCrashed, webServiceRecovered] }, async (work) => {
    const changed = await run(
      work.tx,
      sql`update service_runtime set status = ${status}::runtime_status where web_service_id = ${service.id}::uuid and status = ${service.status}::runtime_status`,
    )
    if (changed === 0) return
    const recovered = service.status === 'CRASHED' && (status === 'RUNNING' || status === 'DEGRADED')
    const event = status === 'CRASHED' ? webServiceCrashed : recovered ? webServiceRecovered : null
    if (event) {
      await publish(work, event, {
        subjectId: service.id,
        projectId: service.projectId,
        data: {
          webServiceId: encodeId('WebService', service.id),
          projectId: encodeId('Project', service.projectId),
          name: service.name,
          slug: service.slug,
        },
      })
    }
    noteEnvironments(work, environmentOf(service.id))
    work.wake(`service:${service.id}`)
  })
}

/** Adds an instance when all are busy, and removes one after a time of low load. */
async function scale(app: App, service: ServiceRow, instances: InstanceRow[]): Promise<void> {
  if (service.kind !== 'WEB' || service.maxInstances === service.minInstances || service.status !== 'RUNNING') return
  const running = instances.filter((instance) => instance.routed)
  const load = scaleBy(
    running.reduce((sum, instance) => sum + instance.inFlight, 0),
    running.length,
  )
  const tx = app.db
  const where = sql`where web_service_id = ${service.id}::uuid`
  if (load === 'more' && running.length < service.maxInstances) {
    await run(tx, sql`update service_runtime set wanted = ${running.length + 1}, quiet_since = null ${where}`)
  } else if (load === 'less' && running.length > service.minInstances) {
    if (service.quietTooLong === null) await run(tx, sql`update service_runtime set quiet_since = app_now() ${where}`)
    else if (service.quietTooLong)
      await run(tx, sql`update service_runtime set wanted = ${running.length - 1}, quiet_since = null ${where}`)
  } else if (service.quietTooLong !== null) {
    await run(tx, sql`update service_runtime set quiet_since = null ${where}`)
  }
}
