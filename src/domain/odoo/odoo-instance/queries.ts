import { z } from 'zod'
import type { OdooInstance } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery, type Reader } from '../../../platform/listing.ts'
import type { App } from '../../../platform/work.ts'
import { mask } from '../../configuration/variable/index.ts'
import { runtimePort, unfinishedStatuses, urlOf } from '../../deploys/instance/index.ts'
import { type OdooInstanceStatus, type StatusFacts, startSettings, statusOf } from './model.ts'

export type OdooInstanceRow = Omit<OdooInstance, 'adminPassword'>

export const odooInstanceListing = defineListing({
  type: 'OdooInstance',
  noun: 'Odoo instance',
  permission: 'view:web_services',
  order: 'oldest_first',
  nameColumn: 'odooVersion',
  omit: ['adminPassword'],
  audited: ['odooVersion', 'edition', 'addonsPath', 'workers', 'config', 'projectId', 'environmentId'],
  filter: { projectId: z.string().nullish(), environmentId: z.string().nullish() },
  ids: { projectId: 'Project', environmentId: 'Environment' },
  parents: ['projectId', 'environmentId'],
})

export const listOdooInstances = listQuery(odooInstanceListing)
export const countOdooInstances = countQuery(odooInstanceListing)
export const findOdooInstance = findQuery(odooInstanceListing)

/** The instance of many services in one statement. Null for a service of another kind. */
export async function instanceByService(reader: Reader, serviceIds: readonly string[]): Promise<(OdooInstanceRow | null)[]> {
  const found = await odooInstanceListing.readBelow(reader, { parent: 'id', parentIds: serviceIds, orderBy: sql`t.id`, limit: 1 })
  return found.map(([instance]) => instance ?? null)
}

/** What is observed of an instance. */
export type OdooInstanceOverview = {
  name: string
  slug: string
  status: OdooInstanceStatus
  statusMessage: string | null
  url: string
  /** Null while no instance of the service is routed. */
  httpPort: number | null
  serverId: string | null
  /** Of the service, by name. */
  envVars: Record<string, string>
  /** Settings that a restart or a deployment would change. */
  pendingSettings: string[]
}

type OverviewRow = Omit<StatusFacts, 'isRouted'> &
  Pick<OdooInstance, 'id' | 'addonsPath' | 'workers' | 'config'> & {
    name: string
    slug: string
    runningId: string | null
    serverId: string | null
    keys: string[]
    /** What the live deployment has pinned. */
    pinned: Record<string, unknown> | null
  }

/** The overviews of many instances, by id, in one statement. */
export async function overviewsOf({ app, tx }: { app: App; tx: Tx }, ids: readonly string[]): Promise<Map<string, OdooInstanceOverview>> {
  const found = await rows<OverviewRow>(
    tx,
    sql`select o.id, o.addons_path, o.workers, o.config, s.name, s.slug, s.desired_state, rt.status as runtime_status,
          exists (select 1 from deployment d where d.web_service_id = s.id and d.live_at is not null) as was_live,
          exists (select 1 from deployment d where d.web_service_id = s.id and d.status in ${unfinishedStatuses.list}) as is_deploying,
          exists (select 1 from instance i where i.web_service_id = s.id and i.generation < s.generation and i.draining_since is null) as is_restarting,
          n.failure_message as newest_failure,
          (select i.id from instance i where i.web_service_id = s.id and i.routed order by i.id limit 1) as running_id,
          (select v.id from server v where v.organization_id = o.organization_id and v.kind = 'local' order by v.id limit 1) as server_id,
          array(select e.key from env_var e where e.web_service_id = s.id order by e.key) as keys,
          (select d.settings->'extra' from deployment d where d.web_service_id = s.id and d.status = 'LIVE') as pinned
        from odoo_instance o join web_service s on s.id = o.id join service_runtime rt on rt.web_service_id = s.id
          left join lateral (select d.failure_message from deployment d where d.web_service_id = s.id order by d.number desc limit 1) n on true
        where o.id = any(${[...ids]}::uuid[])`,
  )
  return new Map(
    found.map((one) => {
      const { id, name, slug, runningId, serverId, keys, pinned } = one
      const envVars = Object.fromEntries(keys.map((key) => [key, mask]))
      const pendingSettings = pinned ? [...startSettings, 'addonsPath' as const].filter((key) => one[key] !== pinned[key]) : []
      const url = urlOf(app, { kind: 'ODOO', slug })!
      const httpPort = runningId === null ? null : (runtimePort.use(app).addressOf(runningId)?.port ?? null)
      return [id, { name, slug, ...statusOf({ ...one, isRouted: runningId !== null }), url, httpPort, serverId, envVars, pendingSettings }]
    }),
  )
}

export const odooInstanceOverviews = defineQuery({
  name: 'odooInstanceOverviews',
  description: 'Name, status, URL and port of several Odoo instances, by ID. Instances not visible to the caller are omitted.',
  permission: 'view:web_services',
  ids: { 'ids.*': 'OdooInstance' },
  input: z.object({ ids: z.array(z.string()) }),
  async run(read, { ids }): Promise<Map<string, OdooInstanceOverview>> {
    const seen = await rows<{ id: string }>(
      read.tx,
      sql`select o.id from odoo_instance o where o.id = any(${ids}::uuid[]) and ${visible(read.caller, sql`o`)}`,
    )
    const overviews = await overviewsOf(
      read,
      seen.map(({ id }) => id),
    )
    if (!read.caller.permissions.has('view:secrets')) for (const overview of overviews.values()) overview.envVars = {}
    return overviews
  },
})

export const countOdooInstancesByProject = defineQuery({
  name: 'odooInstanceCountByProject',
  description: 'Number of Odoo instances of each of several projects, in the order of the projects.',
  permission: 'view:projects',
  ids: { 'projectIds.*': 'Project' },
  input: z.object({ projectIds: z.array(z.string()) }),
  run: (read, { projectIds }) => odooInstanceListing.countsBelow(read, { parent: 'projectId', parentIds: projectIds, filter: {} }),
})

export const odooInstancesOfEnvironments = defineQuery({
  name: 'odooInstanceByEnvironment',
  description: 'ID of the oldest Odoo instance of several environments, by the ID of the environment.',
  permission: 'view:environments',
  ids: { 'environmentIds.*': 'Environment' },
  input: z.object({ environmentIds: z.array(z.string()) }),
  async run({ tx, caller }, { environmentIds }): Promise<Map<string, string>> {
    const found = await rows<Pick<OdooInstance, 'id' | 'environmentId'>>(
      tx,
      sql`select distinct on (o.environment_id) o.environment_id, o.id from odoo_instance o join web_service s on s.id = o.id
          where o.environment_id = any(${environmentIds}::uuid[]) and s.desired_state <> 'DELETED' and ${visible(caller, sql`o`)}
          order by o.environment_id, o.id`,
    )
    return new Map(found.map(({ environmentId, id }) => [environmentId, id]))
  },
})
