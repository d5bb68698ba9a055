/** The last step: switches traffic to the healthy release, watches it for a moment, and switches back if it fails. */
import type { Deployment, Instance } from '../../../generated/prisma/client.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { pause } from '../../../platform/clock.ts'
import { row, run as runSql, sql } from '../../../platform/db/index.ts'
import { encodeId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { hostOf, serviceOf, setDesiredState } from '../../apps/web-service/index.ts'
import { instancesOf, markStarted, resetLoad, routerProbePort, routeTo, untilRouted } from '../instance/index.ts'
import { completeLog, ensureDeploymentLog } from '../log/index.ts'
import { deploymentEvents } from './events.ts'
import { type Run, StepFailed } from './run.ts'
import { compareAndSet, end, publishDeploymentEvent } from './transition.ts'
import { requireHealthy, requireRunning } from './verify.ts'

/** Routes the service to the new release, and makes the deployment live once the release has responded through the router for a while. */
export async function switchTraffic(run: Run): Promise<'done'> {
  const { app, deployment, log } = run
  const instances = await instancesOf(app.db, deployment.id)
  const takesRequests = run.settings().kind !== 'WORKER'
  let isShown = takesRequests
  // A lost worker may have seen it fail and restored traffic. A static site, which skips VERIFY, is checked here for the first time.
  if (takesRequests && (run.resumed || instances.length === 0)) await requireHealthy(run, instances, run.probeTimeoutMs())
  let moved = ''
  await run.write(async (work) => {
    const { leavesStopped } = await run.set(work, sql`phase = phase`)
    isShown = takesRequests && !leavesStopped
    await markStarted(work.tx, deployment.id)
    moved = await routeTo(work, deployment.webServiceId, deployment.id)
  })
  if (isShown) {
    await untilRouted(app, moved, run.signal)
    await untilServed(run, instances)
    await watch(run, instances)
  }
  await log.say('The deployment is live.')
  await log.close()
  await run.write((work) => goLive(run, work))
  return 'done'
}

/**
 * Waits until the router serves the new release to visitors. Fails at once if the release stops responding, because visitors already wait
 * for it. A missing response does not tell which release is routed, so the release is also checked directly.
 */
async function untilServed(run: Run, instances: readonly Instance[]): Promise<void> {
  const { app, deployment } = run
  const service = await serviceOf(app.db, deployment)
  const host = hostOf(service, app.settings.ROUTER_DOMAIN)
  const id = encodeId('Deployment', deployment.id)
  for (;;) {
    run.signal.throwIfAborted()
    for (const instance of instances) await requireRunning(run, instance)
    const path = run.settings().healthCheckPath ?? '/'
    const [seen] = await Promise.all([
      routerProbePort.use(app).request({ host, path, timeoutMs: watchTimeoutMs(run) }),
      requireHealthy(run, instances, watchTimeoutMs(run)),
    ])
    if (seen.failure === null && seen.deployment === id && seen.release === deployment.releaseDigest) return
    await pause(50, run.signal)
  }
}

const watchIntervalMs = 100

async function watch(run: Run, instances: readonly Instance[]): Promise<void> {
  const until = performance.now() + run.app.settings.SWITCH_WATCH_MS
  do {
    run.signal.throwIfAborted()
    await requireHealthy(run, instances, watchTimeoutMs(run))
    await pause(watchIntervalMs, run.signal)
  } while (performance.now() < until)
}

/** With visitors, a response must take about as long as in VERIFY. */
const watchTimeoutMs = (run: Run) => Math.min(run.probeTimeoutMs(), Math.max(2_000, 4 * run.slowestAnswerMs))

/** Makes the deployment live in one transaction: the previous one is superseded, and the desired state is RUNNING. */
async function goLive(run: Run, work: Work): Promise<Deployment> {
  const { deployment } = run
  const service = await row<{ desiredState: string }>(
    work.tx,
    sql`select desired_state from web_service where id = ${deployment.webServiceId}::uuid for update`,
  )
  if (service?.desiredState === 'DELETED') throw new StepFailed('SERVICE_DELETED', 'The service was deleted.')
  const former = await row<{ id: string }>(
    work.tx,
    sql`select id from deployment where web_service_id = ${deployment.webServiceId}::uuid and status = 'LIVE' for update`,
  )
  if (former) await end(work, former.id, ['LIVE'], { status: 'SUPERSEDED' })
  const live = await compareAndSet(
    work,
    deployment.id,
    ['RUNNING'],
    sql`status = 'LIVE', live_at = app_now(), finished_at = app_now(), lease_owner = null, lease_expires_at = null`,
    deployment.leaseEpoch,
  )
  await runSql(
    work.tx,
    sql`update deployment_step set status = 'SUCCEEDED', finished_at = app_now() where deployment_id = ${deployment.id}::uuid and phase = 'SWITCH'`,
  )
  if (!live.leavesStopped) await setDesiredState(work, deployment.webServiceId, 'RUNNING')
  await resetLoad(work, deployment.webServiceId)
  const log = await ensureDeploymentLog(work.tx, { ...deployment, deploymentId: deployment.id })
  await completeLog(work, log.id)
  await publishDeploymentEvent(work, deploymentEvents.succeeded, live)
  if (live.kind === 'ROLLBACK') await publishDeploymentEvent(work, deploymentEvents.rolledBack, live)
  writeAudit(work, { action: 'deployment.succeed', target: { type: 'Deployment', before: deployment, after: live } })
  work.wake('deployments', 'purge')
  return live
}

/** Undoes a failed switch: routes the service to its live deployment, if any. */
export async function restoreTraffic(run: Run): Promise<void> {
  const { webServiceId } = run.deployment
  await run.write(async (work) => {
    const live = await row<{ id: string }>(
      work.tx,
      sql`select id from deployment where web_service_id = ${webServiceId}::uuid and status = 'LIVE'`,
    )
    await routeTo(work, webServiceId, live?.id ?? null)
  })
}
