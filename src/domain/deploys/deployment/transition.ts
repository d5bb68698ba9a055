/**
 * All changes of a deployment's status: compare-and-set on its previous status and the worker's epoch, with steps, log and event in the same
 * transaction.
 */
import type { Deployment, DeploymentPhase, DeploymentStatus } from '../../../generated/prisma/client.ts'
import { empty, join, row, run, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { environmentOf, noteEnvironments } from '../instance/index.ts'
import { completeLog, ensureDeploymentLog } from '../log/index.ts'
import { type DeploymentEvent, deploymentEvents, publishInProject } from './events.ts'
import { type Failure, transitions } from './model.ts'

/** The deployment is no longer in the required status: another worker has it, or it was cancelled. */
export class LostDeployment extends Error {
  override readonly name = 'LostDeployment'
}

type Ended = 'FAILED' | 'CANCELLED' | 'SKIPPED' | 'SUPERSEDED'

const endings: Record<Ended, DeploymentEvent> = {
  FAILED: deploymentEvents.failed,
  CANCELLED: deploymentEvents.cancelled,
  SKIPPED: deploymentEvents.skipped,
  SUPERSEDED: deploymentEvents.superseded,
}

type Ending = { status: Ended; failure?: Failure & { phase: DeploymentPhase } }

/**
 * Ends a deployment. `epoch` is the worker's fence; absent where a command does it. Throws LostDeployment, and a plain error for a way
 * that there is not.
 */
export async function end(
  work: Work,
  id: string,
  from: readonly DeploymentStatus[],
  { status, failure }: Ending,
  epoch?: number,
): Promise<Deployment> {
  for (const before of from) if (!transitions[before].includes(status)) throw new Error(`no deployment goes from ${before} to ${status}`)
  const ended = await compareAndSet(
    work,
    id,
    from,
    sql`status = ${status}::deployment_status, finished_at = coalesce(finished_at, app_now()), lease_owner = null, lease_expires_at = null,
        failure_phase = ${failure?.phase ?? null}::deployment_phase, failure_code = ${failure?.code ?? null}::deployment_failure_code,
        failure_message = ${failure?.message ?? null}, failure_hint = ${failure?.hint ?? null}`,
    epoch,
  )
  if (status !== 'SUPERSEDED') {
    const stepStatus = status === 'FAILED' ? 'FAILED' : 'CANCELLED'
    await run(
      work.tx,
      sql`update deployment_step set finished_at = case when status = 'RUNNING' then app_now() else finished_at end,
            exit_code = case when status = 'RUNNING' then ${failure?.exitCode ?? null}::int end,
            reason_code = case when status = 'RUNNING' then ${failure?.code ?? null}::deployment_failure_code end,
            status = case when status = 'RUNNING' then ${stepStatus}::step_status else 'SKIPPED' end
          where deployment_id = ${id}::uuid and status in ('PENDING', 'RUNNING')`,
    )
    const log = await ensureDeploymentLog(work.tx, { ...ended, deploymentId: id })
    await completeLog(work, log.id)
  }
  await publishDeploymentEvent(work, endings[status], ended)
  work.wake('deployments', 'instances', 'purge')
  return ended
}

/** Changes a deployment that is in one of the given states and, for a worker, still its own. Throws LostDeployment. */
export async function compareAndSet(
  work: Work,
  id: string,
  from: readonly DeploymentStatus[],
  set: ReturnType<typeof sql>,
  epoch?: number,
): Promise<Deployment> {
  const changed = await row<Deployment>(
    work.tx,
    sql`update deployment set ${set}, version = version + 1
        where id = ${id}::uuid and status in (${join(from.map((status) => sql`${status}::deployment_status`))})
          ${epoch === undefined ? empty : sql`and lease_epoch = ${epoch}`} returning *`,
  )
  if (!changed) throw new LostDeployment(`deployment ${id} is not ${from.join(' or ')} any more`)
  noteEnvironments(work, environmentOf(changed.webServiceId))
  work.wake(`deployment:${id}`, `service:${changed.webServiceId}`)
  return changed
}

/** Publishes one of a deployment's events. */
export async function publishDeploymentEvent(work: Work, event: DeploymentEvent, deployment: Deployment): Promise<void> {
  const service = await row<{ projectId: string }>(
    work.tx,
    sql`select project_id from web_service where id = ${deployment.webServiceId}::uuid`,
  )
  await publishInProject(work, event, deployment, service!.projectId)
}
