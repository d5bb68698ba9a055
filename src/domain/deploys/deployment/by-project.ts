/** A project's deployments, and deploying one of its services, for doors whose paths name the project before the deployment. */
import { z } from 'zod'
import type { Deployment, WebService } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineCommand, defineQuery, visible } from '../../../platform/command.ts'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { encodeId } from '../../../platform/id.ts'
import { defaultPage, type Page, pageSchema } from '../../../platform/page.ts'
import type { Work } from '../../../platform/work.ts'
import { deployService, refSchema } from './commands.ts'
import { deploymentErrors } from './errors.ts'
import { deploymentEvents } from './events.ts'
import { deploymentListing } from './queries.ts'

const isVisible = async (tx: Tx, caller: Caller, projectId: string) =>
  (await row(
    tx,
    sql`select 1 as seen from project p where p.id = ${projectId}::uuid and ${visible(caller, sql`p`, sql`id`)} and p.deleting_at is null`,
  )) !== null

export const listProjectDeployments = defineQuery({
  name: 'projectDeployments',
  description: 'Deployments of all services of a project, newest first. Null if the project does not exist.',
  permission: 'view:deployments',
  ids: { projectId: 'Project' },
  input: z.object({ projectId: z.string() }).and(pageSchema),
  async run(read, { projectId, ...page }): Promise<Page<Deployment> | null> {
    if (!(await isVisible(read.tx, read.caller, projectId))) return null
    const services = await rows<{ id: string }>(read.tx, sql`select id from web_service where project_id = ${projectId}::uuid`)
    // Read by service, because an index has the deployments of a service in this order, and none those of a project.
    const pages = await deploymentListing.pagesBelow(
      read,
      { parent: 'webServiceId', parentIds: services.map(({ id }) => id), filter: {} },
      page,
    )
    const newest = pages.flatMap(({ rows }) => rows).sort((one, other) => (one.id < other.id ? 1 : -1))
    const size = page.first ?? defaultPage
    return {
      rows: newest.slice(0, size),
      hasNextPage: newest.length > size || pages.some(({ hasNextPage }) => hasNextPage),
      hasPreviousPage: pages.some(({ hasPreviousPage }) => hasPreviousPage),
    }
  },
})

export const findDeploymentOfProject = defineQuery({
  name: 'deploymentOfProject',
  description: 'Deployment of a service of a project. Null if the project has no such deployment.',
  permission: 'view:deployments',
  ids: { projectId: 'Project', id: 'Deployment' },
  input: z.object({ projectId: z.string(), id: z.string() }),
  run: (read, { projectId, id }) =>
    deploymentListing.findOne(
      read,
      sql`t.id = ${id}::uuid
          and exists (select 1 from web_service s where s.id = t.web_service_id and s.project_id = ${projectId}::uuid)`,
    ),
})

/** `isRolledBack`: it was live until a rollback restored an earlier deployment. */
export type DeploymentOverview = { isRolledBack: boolean; environmentId: string }

export const deploymentOverviews = defineQuery({
  name: 'deploymentOverviews',
  description:
    'Environments of several deployments, and whether each was rolled back, by ID. Deployments not visible to the caller are omitted.',
  permission: 'view:deployments',
  ids: { 'ids.*': 'Deployment' },
  input: z.object({ ids: z.array(z.string()) }),
  async run({ tx, caller }, { ids }): Promise<Map<string, DeploymentOverview>> {
    const found = await rows<DeploymentOverview & { id: string }>(
      tx,
      sql`select d.id, s.environment_id, coalesce(d.status = 'SUPERSEDED' and n.kind = 'ROLLBACK', false) as is_rolled_back
          from deployment d join web_service s on s.id = d.web_service_id
            left join lateral (select x.kind from deployment x where x.web_service_id = d.web_service_id and x.live_at > d.live_at
                               order by x.live_at limit 1) n on d.status = 'SUPERSEDED'
          where d.id = any(${ids}::uuid[]) and ${visible(caller, sql`s`)}`,
    )
    return new Map(found.map(({ id, ...overview }) => [id, overview]))
  },
})

export const deployProject = defineCommand({
  name: 'deployProject',
  description:
    'Deploys a service of a project, which may be omitted if the project has only one. Fails with `service_required` if it has several, or none.',
  permission: 'deploy:web_services',
  ids: { projectId: 'Project', webServiceId: 'WebService' },
  targetType: 'WebService',
  target: (work, { projectId, webServiceId }) => findService(work, projectId!, webServiceId),
  input: z
    .object({ webServiceId: z.string().nullish(), branch: refSchema.nullish(), commit: refSchema.nullish(), tag: refSchema.nullish() })
    .refine(({ commit, tag }) => !(commit && tag), { error: 'must not be combined with tag', path: ['commit'] }),
  emits: [deploymentEvents.queued, deploymentEvents.skipped],
  run: (work, { branch, commit, tag }, service: WebService) =>
    deployService(work, service, { branch, commit: tag ? `refs/tags/${tag}` : commit }),
  audited: (_input, { deployment }) => ({ deploymentId: encodeId('Deployment', deployment.id) }),
})

/** Locks the service. Null if the project does not exist. */
async function findService(work: Work, projectId: string, webServiceId: string | undefined): Promise<WebService | null> {
  if (!(await isVisible(work.tx, work.caller, projectId))) return null
  const found = await rows<WebService>(
    work.tx,
    sql`select s.* from web_service s where s.project_id = ${projectId}::uuid and s.desired_state <> 'DELETED'
          and ${webServiceId === undefined ? sql`true` : sql`s.id = ${webServiceId}::uuid`} order by s.id limit 2 for update`,
  )
  if (found.length === 1) return found[0]!
  if (webServiceId !== undefined) throw errors.not_found({ field: 'webServiceId' })
  throw deploymentErrors.service_required({
    field: 'webServiceId',
    text:
      found.length === 0
        ? 'The project has no service that could be deployed.'
        : 'The project has several services: name the one to deploy.',
  })
}
