/**
 * The pipeline of a deployment: prepare, build, release command, start, verify, switch; or undo. The steps are in steps.ts, verify.ts and
 * switch.ts; persistence, deadlines and fencing in run.ts.
 */
import type { Deployment, DeploymentPhase } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { type Claims, claim, maxLosses, type Queue, renew } from '../../../platform/claim.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import { type App, transact } from '../../../platform/work.ts'
import { activeStatuses, environmentOf, noteEnvironments, unfinishedStatuses } from '../instance/index.ts'
import { stopNew } from './aside.ts'
import { allDeploymentEvents, deploymentEvents } from './events.ts'
import { type KindRelease, kindReleaseOf } from './kind-release.ts'
import { type Failure, phases } from './model.ts'
import { openRun, type Run, releaseDeployment, StepFailed } from './run.ts'
import { build, prepare, release, start } from './steps.ts'
import { restoreTraffic, switchTraffic } from './switch.ts'
import { publishDeploymentEvent } from './transition.ts'
import { verify } from './verify.ts'

const phaseHandlers: Record<DeploymentPhase, (run: Run) => Promise<'done' | 'skipped'>> = {
  PREPARE: prepare,
  BUILD: build,
  RELEASE: release,
  START: start,
  VERIFY: verify,
  SWITCH: switchTraffic,
}

async function putBack(run: Run, failure: Failure | null): Promise<void> {
  if (run.deployment.phase === 'SWITCH') await restoreTraffic(run)
  await stopNew(run)
  await kindReleaseOfRun(run)?.undo(run, failure)
}

/** Null before PREPARE has pinned the kind. */
const kindReleaseOfRun = (run: Run): KindRelease | null =>
  run.deployment.settings === null ? null : kindReleaseOf(run.app, run.settings().kind)

/** Runs a claimed deployment from its current phase to its end. */
async function deploy(app: App, deployment: Deployment, signal: AbortSignal): Promise<void> {
  const run = await openRun(app, deployment, signal)
  try {
    if (deployment.phase !== null) await kindReleaseOfRun(run)?.resume(run)
    const rest = phases.slice(deployment.phase === null ? 0 : phases.indexOf(deployment.phase))
    for (const phase of rest) await run.step(phase, phaseHandlers[phase])
  } catch (error) {
    await run.undo(error, putBack)
  } finally {
    await run.close()
  }
}

/** Fails a deployment that may be the reason why the processes that ran it exited. */
async function setAside(app: App, deployment: Deployment, signal: AbortSignal): Promise<void> {
  const run = await openRun(app, deployment, signal)
  try {
    const message = `The last ${maxLosses} processes that ran this deployment all exited before it finished.`
    await run.undo(new StepFailed('WORKER_LOST', message, { hint: 'See the server log for the cause.' }), putBack)
  } finally {
    await run.close()
  }
}

const unfinished = sql`status in ${unfinishedStatuses.list}`

/** Claims deployments whose worker was lost, and the next one of each service without an active deployment. */
async function claimDeployments(app: App, worker: string, limit: number): Promise<Claims<Deployment>> {
  // A single statement if there is nothing to do, which is the usual case. When a lease expires, its worker may be gone.
  const waiting = await row<{ any: boolean | null; ms: number | null }>(
    app.db,
    sql`select bool_or(lease_expires_at is null or lease_expires_at < app_now()) as any,
               ceil(extract(epoch from min(lease_expires_at) filter (where lease_expires_at >= app_now()) - app_now()) * 1000)::float8 as ms
        from deployment where ${unfinished}`,
  )
  const others = { dueInMs: waiting?.ms ?? null, waitsForOwn: true }
  if (!waiting?.any) return { items: [], ...others }
  const lease = { table: 'deployment', key: ['id'], order: sql`t.id`, owner: worker, leaseMs: app.settings.WORKER_LEASE_MS }
  const lost = await claim<Deployment>(app.db, {
    ...lease,
    limit,
    due: sql`t.status in ${activeStatuses.list}`,
  })
  if (lost.length >= limit) return { items: lost, ...others }
  const next = await transact(app, systemCaller(nilId), { emits: allDeploymentEvents }, async (work) => {
    const started = await claim<Deployment>(work.tx, {
      ...lease,
      limit: limit - lost.length,
      due: sql`t.status = 'QUEUED'
        and not exists (select 1 from deployment a where a.web_service_id = t.web_service_id and a.status in ${activeStatuses.list})
        and not exists (select 1 from deployment o where o.web_service_id = t.web_service_id and o.status = 'QUEUED' and o.id < t.id)`,
      set: sql`, status = 'RUNNING', started_at = app_now(), version = t.version + 1`,
    })
    for (const deployment of started) {
      await publishDeploymentEvent({ ...work, caller: systemCaller(deployment.organizationId) }, deploymentEvents.started, deployment)
      noteEnvironments(work, environmentOf(deployment.webServiceId))
      work.wake(`deployment:${deployment.id}`, `service:${deployment.webServiceId}`)
    }
    return started
  })
  return { items: [...lost, ...next], ...others }
}

export const deploymentQueue: Queue<Deployment> = {
  name: 'deployments',
  emits: allDeploymentEvents,
  rows: { table: 'deployment', match: ({ id }) => sql`id = ${id}::uuid` },
  topic: 'deployments',
  pollMs: 5_000,
  concurrency: 4,
  abortOnStop: true,
  claim: claimDeployments,
  renew: (app, deployment) =>
    renew(app.db, 'deployment', sql`id = ${deployment.id}::uuid`, deployment.leaseEpoch, app.settings.WORKER_LEASE_MS),
  release: releaseDeployment,
  work: deploy,
  setAside,
}
