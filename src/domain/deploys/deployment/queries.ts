import { z } from 'zod'
import type { Deployment, DeploymentStep, WebService } from '../../../generated/prisma/client.ts'
import { defineQuery, demand, visible } from '../../../platform/command.ts'
import { row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { countQuery, defineListing, defineTable, findQuery, listQuery, type Reader } from '../../../platform/listing.ts'
import type { App } from '../../../platform/work.ts'
import { pinnedSettings, serviceOf } from '../../apps/web-service/index.ts'
import { activeStatuses, openValues, readSnapshot, unfinishedStatuses } from '../instance/index.ts'
import { diskWarnings } from './aside.ts'
import { configurationFor, releaseIsKept } from './commands.ts'
import { currentConfiguration, sizeProblem } from './configuration.ts'
import { kindReleaseOf } from './kind-release.ts'
import { changesBetween, deploymentStatuses, type PlanChange, rollbackBlockers } from './model.ts'
import { currentSettings } from './settings.ts'
import { variableChanges } from './variable-change.ts'

export const deploymentListing = defineListing({
  type: 'Deployment',
  noun: 'deployment',
  permission: 'view:deployments',
  order: 'newest_first',
  nameColumn: 'number',
  audited: ['number', 'kind', 'trigger', 'status', 'branch', 'requestedCommit', 'webServiceId'],
  visible: (caller) =>
    caller.projectIds === null
      ? sql`t.organization_id = ${caller.organizationId}::uuid`
      : sql`t.web_service_id in (select s.id from web_service s where ${visible(caller, sql`s`)})`,
  filter: { webServiceId: z.string().nullish(), status: z.array(z.enum(deploymentStatuses)).nullish() },
  ids: { webServiceId: 'WebService' },
  parents: ['webServiceId'],
  where: ({ status }) => (status ? [sql`t.status = any(${status}::deployment_status[])`] : []),
})

export const listDeployments = listQuery(deploymentListing)
export const countDeployments = countQuery(deploymentListing)
export const findDeployment = findQuery(deploymentListing)

export type RollbackPlan = {
  target: Deployment
  current: Deployment | null
  eligible: boolean
  blockers: ReturnType<typeof rollbackBlockers>
  config: 'SNAPSHOT' | 'CURRENT'
  changes: PlanChange[]
  warnings: string[]
}

export const planRollback = defineQuery({
  name: 'rollbackPlan',
  description: 'Plan of a rollback to the given deployment.',
  permission: 'view:deployments',
  ids: { deploymentId: 'Deployment' },
  input: z.object({ deploymentId: z.string(), config: z.enum(['SNAPSHOT', 'CURRENT']).nullish() }),
  async run(read, input): Promise<RollbackPlan> {
    demand(read.caller, 'view:secrets')
    const target = await deploymentListing.findOne(read, sql`t.id = ${input.deploymentId}::uuid`)
    if (!target) throw errors.not_found({ field: 'deploymentId' })
    const service = await serviceOf(read.tx, target)
    const current = await row<Deployment>(
      read.tx,
      sql`select * from deployment where web_service_id = ${target.webServiceId}::uuid and status = 'LIVE'`,
    )
    const config = input.config ?? 'SNAPSHOT'
    const configuration = await configurationFor(read, target, config)
    const blockers = rollbackBlockers({
      ...target,
      hasRelease: await releaseIsKept(read.tx, target.releaseDigest),
      serviceDeleted: service.desiredState === 'DELETED',
      configUnresolved: configuration.unresolved.length > 0,
    })
    const next = config === 'SNAPSHOT' ? pinned(read.app, target) : await currentSettings(read, service)
    return {
      target,
      current,
      eligible: blockers.length === 0,
      blockers,
      config,
      changes: [
        ...changesBetween(planned(read.app, current), { commitHash: target.commitHash, settings: next }),
        ...(await variableChanges(
          read,
          service.organizationId,
          current && (await readSnapshot(read, current.id)),
          configuration.variables,
        )),
      ],
      warnings: [
        ...configuration.unresolved.map(({ message }) => message),
        ...configuration.warnings,
        ...(await diskWarnings(read, service)),
        ...((await kindReleaseOf(read.app, service.kind)?.warnings(read, service, target)) ?? []),
      ],
    }
  },
})

const pinned = (app: App, { settings }: Deployment) => (settings === null ? null : pinnedSettings(app, settings))

const planned = (app: App, deployment: Deployment | null) =>
  deployment && { commitHash: deployment.commitHash, settings: pinned(app, deployment) }

export type DeployPlan = { webService: WebService; current: Deployment | null; changes: PlanChange[]; warnings: string[] }

export const planDeploy = defineQuery({
  name: 'deployPlan',
  description:
    'Changes that the next deployment of a service would make. The commit is not included, because it is resolved when the deployment starts.',
  permission: 'view:deployments',
  ids: { webServiceId: 'WebService' },
  input: z.object({ webServiceId: z.string() }),
  async run(read, { webServiceId }): Promise<DeployPlan> {
    demand(read.caller, 'view:secrets')
    const webService = await row<WebService>(
      read.tx,
      sql`select s.* from web_service s where s.id = ${webServiceId}::uuid and ${visible(read.caller, sql`s`)}`,
    )
    if (!webService) throw errors.not_found({ field: 'webServiceId' })
    const current = await row<Deployment>(
      read.tx,
      sql`select * from deployment where web_service_id = ${webServiceId}::uuid and status = 'LIVE'`,
    )
    const commitHash = current?.commitHash ?? null
    const { variables, warnings } = await currentConfiguration(read, webServiceId)
    const settings = await currentSettings(read, webService)
    const tooLarge = sizeProblem(await openValues(read, webService.organizationId, variables))
    return {
      webService,
      current,
      changes: [
        ...changesBetween(planned(read.app, current) ?? { commitHash, settings: null }, { commitHash, settings }),
        ...(await variableChanges(read, webService.organizationId, current && (await readSnapshot(read, current.id)), variables)),
      ],
      warnings: [
        ...(tooLarge ? [tooLarge] : []),
        ...warnings,
        ...(await diskWarnings(read, webService)),
        ...((await kindReleaseOf(read.app, webService.kind)?.warnings(read, webService, null)) ?? []),
      ],
    }
  },
})

const steps = defineTable('DeploymentStep')

/** Steps of many deployments in one statement, each in the order of the phases. */
export const stepsByDeployment = (reader: Reader, deploymentIds: readonly string[]): Promise<DeploymentStep[][]> =>
  steps.readBelow(reader, { parent: 'deploymentId', parentIds: deploymentIds, orderBy: sql`t.phase` })

/** The live, or the active, deployment of many services in one statement. */
export async function currentByService(
  reader: Reader,
  which: 'live' | 'active',
  serviceIds: readonly string[],
): Promise<(Deployment | null)[]> {
  const where = which === 'live' ? sql`t.status = 'LIVE'` : sql`t.status in ${unfinishedStatuses.list}`
  const found = await deploymentListing.readBelow(reader, {
    parent: 'webServiceId',
    parentIds: serviceIds,
    where,
    orderBy: sql`t.status = 'QUEUED', t.id`,
    limit: 1,
  })
  return found.map(([deployment]) => deployment ?? null)
}

export type EnvironmentStatus = 'PENDING' | 'DEPLOYING' | 'RUNNING' | 'DEGRADED' | 'STOPPED' | 'FAILED' | 'DELETING'

/** Status of many environments in one statement: the first that holds, in the order of the `case`. */
export async function statusByEnvironment(tx: Tx, environmentIds: readonly string[]): Promise<EnvironmentStatus[]> {
  const found = await rows<{ id: string; status: EnvironmentStatus }>(tx, environmentStatuses(sql`e.id = any(${environmentIds}::uuid[])`))
  const status = new Map(found.map((item) => [item.id, item.status]))
  return environmentIds.map((id) => status.get(id) ?? 'PENDING')
}

/** The `id` and `status` of the environments (`e`) that match a condition. */
export const environmentStatuses = (where: Sql): Sql =>
  sql`select e.id, case
          when e.deleting_at is not null then 'DELETING'
          when f.deploying then 'DEPLOYING'
          when f.failed then 'FAILED'
          when f.degraded then 'DEGRADED'
          when f.running then 'RUNNING'
          when f.ever_live then 'STOPPED'
          else 'PENDING' end as status
        from environment e cross join lateral (
          select coalesce(bool_or(x.active), false) as deploying,
                 coalesce(bool_or((x.should_run and x.runtime = 'CRASHED') or (x.newest = 'FAILED' and not x.live)), false) as failed,
                 coalesce(bool_or(x.should_run and x.runtime <> 'RUNNING'), false) as degraded,
                 coalesce(bool_or(x.should_run), false) as running,
                 coalesce(bool_or(x.ever_live), false) as ever_live
          from (
            select s.id, rt.status::text as runtime,
              exists (select 1 from deployment d where d.web_service_id = s.id and d.status in ${activeStatuses.list}) as active,
              exists (select 1 from deployment d where d.web_service_id = s.id and d.status = 'LIVE') as live,
              exists (select 1 from deployment d where d.web_service_id = s.id and d.live_at is not null) as ever_live,
              (select d.status::text from deployment d where d.web_service_id = s.id order by d.number desc limit 1) as newest,
              s.desired_state = 'RUNNING' and exists (select 1 from deployment d where d.web_service_id = s.id and d.status = 'LIVE') as should_run
            from web_service s join service_runtime rt on rt.web_service_id = s.id
            where s.environment_id = e.id and s.desired_state <> 'DELETED') x) f
        where ${where}`
