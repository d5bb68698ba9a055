/** What a list of services shows beside each service's own row, for many of them in one statement. */
import { z } from 'zod'
import type { DeploymentStatus, EnvironmentType, RuntimeStatus, WebServiceKind } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { unfinishedStatuses, urlOf } from '../instance/index.ts'

export type ServiceOverview = {
  environmentType: EnvironmentType
  runtimeStatus: RuntimeStatus
  /** A deployment of it is live, running or not. */
  isLive: boolean
  /** A deployment waits or runs. */
  isDeploying: boolean
  /** Instances from before a restart still answer. */
  isRestarting: boolean
  newestStatus: DeploymentStatus | null
  /** Where it answers; null for a worker. */
  url: string | null
}

type OverviewRow = Omit<ServiceOverview, 'url'> & { id: string; slug: string; kind: WebServiceKind }

export const serviceOverviews = defineQuery({
  name: 'serviceOverviews',
  description: 'Environment, status and URL of several services, by ID. Services not visible to the caller are omitted.',
  permission: 'view:web_services',
  ids: { 'ids.*': 'WebService' },
  input: z.object({ ids: z.array(z.string()) }),
  async run({ app, caller, tx }, { ids }): Promise<Map<string, ServiceOverview>> {
    const found = await rows<OverviewRow>(
      tx,
      sql`select s.id, s.slug, s.kind, e.type as environment_type, rt.status as runtime_status, n.status as newest_status,
            exists (select 1 from deployment d where d.web_service_id = s.id and d.status = 'LIVE') as is_live,
            exists (select 1 from deployment d where d.web_service_id = s.id and d.status in ${unfinishedStatuses.list}) as is_deploying,
            exists (select 1 from instance i join deployment d on d.id = i.deployment_id
                    where i.web_service_id = s.id and d.status = 'LIVE' and i.generation < s.generation and i.draining_since is null) as is_restarting
          from web_service s join environment e on e.id = s.environment_id join service_runtime rt on rt.web_service_id = s.id
          left join lateral (select d.status from deployment d where d.web_service_id = s.id order by d.number desc limit 1) n on true
          where s.id = any(${ids}::uuid[]) and ${visible(caller, sql`s`)}`,
    )
    if (found.length === 0) return new Map()
    return new Map(found.map((service) => [service.id, { ...service, url: urlOf(app, service) }]))
  },
})
