import { z } from 'zod'
import type { Deployment, QueuePolicy, WebService } from '../../../generated/prisma/client.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { newRow, row, rows, run, type Sql, sql } from '../../../platform/db/index.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import { validateBranch } from '../../../platform/repository-url.ts'
import type { App, Work } from '../../../platform/work.ts'
import { serviceOf } from '../../apps/web-service/index.ts'
import { kindOf, unfinishedStatuses } from '../instance/index.ts'
import { ensureDeploymentLog } from '../log/index.ts'
import { type Configuration, currentConfiguration, restoredConfiguration } from './configuration.ts'
import { deploymentErrors } from './errors.ts'
import { deploymentEvents, publishInProject } from './events.ts'
import { enqueue, isCancellable, phases, rollbackBlockers, type Waiting } from './model.ts'
import { currentSettings } from './settings.ts'
import { end } from './transition.ts'

/** Name of a branch, tag or commit. */
export const refSchema = z
  .string()
  .max(255, { error: 'must be at most 255 characters' })
  .superRefine((text, context) => {
    const reason = validateBranch(text)
    if (reason) context.addIssue({ code: 'custom', message: reason })
  })

export const deployWebService = defineCommand({
  name: 'deployWebService',
  description:
    'Deploys the latest commit of a branch, or a given commit. Returns the queued deployment immediately. Use `deploymentUpdated` or `deploymentLogs` to follow its progress. Fails with `repository_missing` if the service has no repository, with `image_not_supported` if its source is a container image, and with `deployment_in_progress` if the queue policy is `REJECT` and another deployment has not ended.',
  permission: 'deploy:web_services',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  target: (work, ids) =>
    row<WebService>(
      work.tx,
      sql`select s.* from web_service s where s.id = ${ids.webServiceId}::uuid and ${visible(work.caller, sql`s`)}
          and s.desired_state <> 'DELETED' for update`,
    ),
  input: z.object({
    branch: refSchema.nullish(),
    commit: refSchema.nullish(),
    clearCache: z.boolean().nullish(),
    queuePolicy: z.enum(['QUEUE_LATEST', 'QUEUE_ALL', 'REJECT']).nullish(),
  }),
  emits: [deploymentEvents.queued, deploymentEvents.skipped],
  run: (work, input, service: WebService) => deployService(work, service, input),
  audited: (_input, { deployment }) => ({ deploymentId: encodeId('Deployment', deployment.id) }),
})

type Wanted = {
  branch?: string | null | undefined
  commit?: string | null | undefined
  clearCache?: boolean | null | undefined
  queuePolicy?: QueuePolicy | null | undefined
}

/** Deploys a locked service. Throws `repository_missing` and `image_not_supported`. */
export async function deployService(work: Work, service: WebService, wanted: Wanted): Promise<{ deployment: Deployment }> {
  demandSource(work.app, service, 'webServiceId')
  const deployment = await queueDeployment(work, service, wanted.queuePolicy ?? service.queuePolicy, {
    kind: 'DEPLOY',
    branch: wanted.branch ?? service.branch,
    requestedCommit: wanted.commit ?? null,
    clearCache: wanted.clearCache ?? false,
  })
  return { deployment }
}

export type NewDeployment = Pick<Deployment, 'kind' | 'branch'> & {
  /** What causes it; API when absent. */
  trigger?: Deployment['trigger']
} & Partial<
    Pick<
      Deployment,
      | 'requestedCommit'
      | 'clearCache'
      | 'commitHash'
      | 'commitMessage'
      | 'commitAuthor'
      | 'operationId'
      | 'restoresId'
      | 'rollbackConfig'
      | 'releaseDigest'
      | 'settings'
      | 'request'
    >
  >

/** Adds a deployment to a locked service's queue, by its policy. */
export async function queueDeployment(work: Work, service: WebService, policy: QueuePolicy, wanted: NewDeployment): Promise<Deployment> {
  const unfinished = await rows<Waiting>(
    work.tx,
    sql`select id, status, kind, phase from deployment where web_service_id = ${service.id}::uuid and status in ${unfinishedStatuses.list} order by id for update`,
  )
  const place = enqueue(policy, wanted.kind, unfinished)
  if ('blockedBy' in place) {
    throw deploymentErrors.deployment_in_progress({ details: { deploymentId: encodeId('Deployment', place.blockedBy) } })
  }
  for (const id of place.displaced) await end(work, id, ['QUEUED'], { status: 'SKIPPED' })
  for (const id of place.cancelled) await requestCancel(work, id)

  const { n } = (await row<{ n: number }>(
    work.tx,
    sql`select coalesce(max(number), 0) + 1 as n from deployment where web_service_id = ${service.id}::uuid`,
  ))!
  const { subject } = work.caller
  const fields = {
    ...wanted,
    settings: wanted.settings && JSON.stringify(wanted.settings),
    request: wanted.request && JSON.stringify(wanted.request),
    id: newId(),
    organizationId: service.organizationId,
    webServiceId: service.id,
    number: n,
    trigger: wanted.trigger ?? 'API',
    status: 'QUEUED',
    createdByType: subject.type,
    createdById: subject.id,
  }
  const deployment = (await row<Deployment>(work.tx, sql`insert into deployment ${newRow(fields)} returning *`))!
  await run(
    work.tx,
    sql`insert into deployment_step (deployment_id, phase, status)
        select ${deployment.id}::uuid, p.phase::deployment_phase, 'PENDING' from unnest(${[...phases]}::text[]) as p(phase)`,
  )
  await ensureDeploymentLog(work.tx, { organizationId: service.organizationId, webServiceId: service.id, deploymentId: deployment.id })
  await publishInProject(work, deploymentEvents.queued, deployment, service.projectId)
  work.wake('deployments')
  return deployment
}

const lockDeployment = (work: Work, id: string | undefined) =>
  row<Deployment & { projectId: string; serviceDeleted: boolean }>(
    work.tx,
    sql`select d.*, s.project_id, s.desired_state = 'DELETED' as service_deleted
        from deployment d join web_service s on s.id = d.web_service_id
        where d.id = ${id}::uuid and ${visible(work.caller, sql`s`)} for update`,
  )

export const cancelDeployment = defineCommand({
  name: 'cancelDeployment',
  description:
    'Cancels a deployment that is queued or in progress. The live deployment keeps serving. Fails with `deployment_not_cancellable` if the deployment has ended or has reached the phase `SWITCH`. Cancelling a deployment that is already being cancelled returns it unchanged.',
  permission: 'deploy:web_services',
  ids: { id: 'Deployment' },
  targetType: 'Deployment',
  target: (work, ids) => lockDeployment(work, ids.id),
  input: z.object({}),
  emits: [deploymentEvents.cancelled],
  run: async (work, _input, target: Deployment & { projectId: string }) => ({ deployment: await cancel(work, target) }),
})

/** Cancels a queued deployment, or requests the cancellation of a running one. Throws `deployment_not_cancellable`. */
async function cancel(work: Work, target: Deployment): Promise<Deployment> {
  if (target.status === 'CANCELLING') return target
  if (!isCancellable(target)) throw deploymentErrors.deployment_not_cancellable({ field: 'id', details: { status: target.status } })
  if (target.status === 'QUEUED') return end(work, target.id, ['QUEUED'], { status: 'CANCELLED' })
  return requestCancel(work, target.id)
}

/** Requests the cancellation of a running deployment. Its worker ends it. */
async function requestCancel(work: Work, id: string): Promise<Deployment> {
  work.wake(`deployment:${id}`)
  const cancelling = sql`update deployment set status = 'CANCELLING', version = version + 1 where id = ${id}::uuid returning *`
  return (await row<Deployment>(work.tx, cancelling))!
}

/** A deleted service deploys nothing more: what waits is cancelled, what runs is told to stop. */
export const cancelPending = (work: Work, webServiceId: string): Promise<number> =>
  cancelAll(work, sql`web_service_id = ${webServiceId}::uuid`)

/** Cancels the deployments of an operation that can be cancelled. Returns their number; those that are being cancelled already count. */
export const cancelOfOperation = (work: Work, operationId: string): Promise<number> =>
  cancelAll(work, sql`operation_id = ${operationId}::uuid`)

async function cancelAll(work: Work, where: Sql): Promise<number> {
  const unfinished = await rows<Deployment>(
    work.tx,
    sql`select * from deployment where ${where} and status in ${unfinishedStatuses.list} order by id for update`,
  )
  const cancelled = unfinished.filter((deployment) => deployment.status === 'CANCELLING' || isCancellable(deployment))
  for (const deployment of cancelled) await cancel(work, deployment)
  return cancelled.length
}

export const rollbackDeployment = defineCommand({
  name: 'rollbackDeployment',
  description:
    'Rolls a service back to an earlier deployment. Creates a deployment of kind `ROLLBACK` that reuses the release of the earlier one and skips the build. Fails with `rollback_not_eligible` if there are blockers; see `rollbackPlan`. A rollback takes precedence: queued deployments of the service are skipped, and one in progress is cancelled unless it is already switching traffic.',
  permission: 'deploy:web_services',
  ids: { deploymentId: 'Deployment' },
  targetType: 'Deployment',
  async target(work, ids) {
    await row(
      work.tx,
      sql`select 1 as locked from web_service s where s.id = (select web_service_id from deployment where id = ${ids.deploymentId}::uuid)
          and ${visible(work.caller, sql`s`)} for update`,
    )
    return lockDeployment(work, ids.deploymentId)
  },
  input: z.object({ config: z.enum(['SNAPSHOT', 'CURRENT']).nullish() }),
  emits: [deploymentEvents.queued, deploymentEvents.skipped],
  async run(work, input, target: Deployment & { serviceDeleted: boolean }) {
    const config = input.config ?? 'SNAPSHOT'
    const { unresolved } = await configurationFor(work, target, config)
    const blockers = rollbackBlockers({
      ...target,
      hasRelease: await releaseIsKept(work.tx, target.releaseDigest),
      configUnresolved: unresolved.length > 0,
    })
    if (blockers[0]) {
      throw deploymentErrors.rollback_not_eligible({ field: 'deploymentId', text: blockers[0].message, details: { blockers } })
    }
    const service = await serviceOf(work.tx, target)
    const deployment = await queueDeployment(work, service, service.queuePolicy, {
      kind: 'ROLLBACK',
      branch: target.branch,
      commitHash: target.commitHash,
      commitMessage: target.commitMessage,
      commitAuthor: target.commitAuthor,
      releaseDigest: target.releaseDigest,
      restoresId: target.id,
      rollbackConfig: config,
      settings: config === 'SNAPSHOT' ? target.settings : await currentSettings(work, service),
    })
    return { deployment }
  },
  audited: ({ config }, { deployment }) => ({ deploymentId: encodeId('Deployment', deployment.id), config: config ?? 'SNAPSHOT' }),
})

export const releaseIsKept = async (tx: Work['tx'], digest: string | null): Promise<boolean> =>
  digest !== null && (await row(tx, sql`select 1 as kept from release where digest = ${digest} and expired_at is null`)) !== null

/** The configuration of a rollback to a deployment. */
export const configurationFor = (read: Pick<Work, 'app' | 'tx'>, target: Deployment, config: string | null): Promise<Configuration> => {
  const revision = { deploymentId: target.id, commitHash: target.commitHash, branch: target.branch }
  return config === 'CURRENT' ? currentConfiguration(read, target.webServiceId, revision) : restoredConfiguration(read, target, revision)
}

/** Whether the service has something that can be deployed. */
export const hasSource = (app: App, { kind, sourceType, repositoryUrl }: WebService): boolean =>
  sourceType !== 'IMAGE' && (repositoryUrl !== null || kindOf(app, kind) !== null)

/** Throws unless the service has something that can be deployed. */
function demandSource(app: App, service: WebService, field: string): void {
  if (service.sourceType === 'IMAGE') throw deploymentErrors.image_not_supported({ field })
  if (!hasSource(app, service)) throw deploymentErrors.repository_missing({ field })
}

/** Queues the same commit again, with the present configuration; where nothing is live, the newest commit of the service's branch. */
export async function queueRedeploy(work: Work, webServiceId: string): Promise<Deployment> {
  demand(work.caller, 'deploy:web_services')
  const service = (await row<WebService>(work.tx, sql`select * from web_service where id = ${webServiceId}::uuid for update`))!
  demandSource(work.app, service, 'deploy')
  const again = await sameCommit(work, service, 'LIVE')
  return queueDeployment(work, service, service.queuePolicy, { ...again, trigger: 'CONFIG_CHANGE' })
}

/**
 * Deploys the commit of the live deployment again. If none is live, `NEWEST` takes the commit of the newest deployment; without any, the
 * newest commit of the service's branch is deployed.
 */
export async function sameCommit(work: Work, service: WebService, as: 'LIVE' | 'NEWEST'): Promise<NewDeployment> {
  const former = await row<Deployment>(
    work.tx,
    sql`select * from deployment where web_service_id = ${service.id}::uuid and commit_hash is not null
          and ${as === 'LIVE' ? sql`status = 'LIVE'` : sql`true`}
        order by status = 'LIVE' desc, number desc limit 1`,
  )
  return {
    kind: former ? 'REDEPLOY' : 'DEPLOY',
    branch: former?.branch ?? service.branch,
    requestedCommit: former?.commitHash ?? null,
  }
}
