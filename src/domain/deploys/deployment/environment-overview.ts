/** What a list of environments shows beside each environment's own row, for many of them in two statements. */
import { z } from 'zod'
import type { WebServiceKind } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { urlOf } from '../instance/index.ts'
import { type EnvironmentStatus, statusByEnvironment } from './queries.ts'

/** `url`, `customDomain`, `branch` and `commitHash` are those of the oldest service that answers over HTTP, else of the oldest one. */
export type EnvironmentOverview = {
  status: EnvironmentStatus
  /** Whether at least one service has an instance that works, or serves files. */
  isRunning: boolean
  url: string | null
  /** The primary domain, else the oldest verified one. */
  customDomain: string | null
  branch: string | null
  /** Commit of the live deployment, else of the newest one. */
  commitHash: string | null
  /** Null if the organization has no server. */
  serverId: string | null
}

type OverviewRow = {
  id: string
  isRunning: boolean
  slug: string | null
  kind: WebServiceKind | null
  customDomain: string | null
  branch: string | null
  commitHash: string | null
  serverId: string | null
}

export const environmentOverviews = defineQuery({
  name: 'environmentOverviews',
  description: 'Status, URL, branch and commit of several environments, by ID. Environments not visible to the caller are omitted.',
  permission: 'view:environments',
  ids: { 'ids.*': 'Environment' },
  input: z.object({ ids: z.array(z.string()) }),
  async run({ app, caller, tx }, { ids }): Promise<Map<string, EnvironmentOverview>> {
    const found = await rows<OverviewRow>(
      tx,
      sql`select e.id, s.slug, s.kind, s.branch, d.commit_hash,
            (select c.domain from custom_domain c where c.web_service_id = s.id and c.verified_at is not null
             order by c.is_primary desc, c.id limit 1) as custom_domain,
            exists (select 1 from web_service s join service_runtime rt on rt.web_service_id = s.id
                    where s.environment_id = e.id and s.desired_state <> 'DELETED' and rt.status in ('RUNNING', 'DEGRADED')) as is_running,
            (select v.id from server v where v.organization_id = e.organization_id and v.kind = 'local') as server_id
          from environment e
            left join lateral (select s.id, s.slug, s.kind, s.branch from web_service s
                               where s.environment_id = e.id and s.desired_state <> 'DELETED' order by s.kind = 'WORKER', s.id limit 1) s on true
            left join lateral (select d.commit_hash from deployment d where d.web_service_id = s.id
                               order by d.status = 'LIVE' desc, d.number desc limit 1) d on true
          where e.id = any(${ids}::uuid[]) and ${visible(caller, sql`e`)}`,
    )
    const status = await statusByEnvironment(
      tx,
      found.map(({ id }) => id),
    )
    return new Map(
      found.map(({ id, slug, kind, ...environment }, index) => [
        id,
        { ...environment, status: status[index]!, url: slug === null || kind === null ? null : urlOf(app, { slug, kind }) },
      ]),
    )
  },
})
