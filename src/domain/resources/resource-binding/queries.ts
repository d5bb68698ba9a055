import { z } from 'zod'
import type { ResourceBinding } from '../../../generated/prisma/client.ts'
import type { Permission } from '../../../platform/access.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import type { IdType } from '../../../platform/id.ts'
import { defineListing, type Reader } from '../../../platform/listing.ts'

export const resourceBindingListing = defineListing({
  type: 'ResourceBinding',
  noun: 'resource binding',
  permission: 'view:databases',
  order: 'oldest_first',
  nameColumn: 'resourceType',
  audited: ['resourceId', 'resourceType', 'variables', 'webServiceId'],
})

/** Bindings of many services in one statement, oldest first. */
export const bindingsByService = (reader: Reader, serviceIds: readonly string[]): Promise<ResourceBinding[][]> =>
  resourceBindingListing.readBelow(reader, { parent: 'webServiceId', parentIds: serviceIds, orderBy: sql`t.id` })

/** Bindings of many resources in one statement, oldest first. */
export const bindingsByResource = (reader: Reader, resourceIds: readonly string[]): Promise<ResourceBinding[][]> =>
  resourceBindingListing.readBelow(reader, { parent: 'resourceId', parentIds: resourceIds, orderBy: sql`t.id` })

/** How many resources of a kind of the organization the services of projects are connected to, as a query: `bucketCountByProject`. */
export const countConnectedByProject = (kind: { type: IdType; name: string; noun: string; permission: Permission }) =>
  defineQuery({
    name: kind.name,
    description: `Number of ${kind.noun}s connected to the services of each of several projects, in the order of the projects.`,
    permission: kind.permission,
    ids: { 'projectIds.*': 'Project' },
    input: z.object({ projectIds: z.array(z.string()) }),
    async run({ tx, caller }, { projectIds }): Promise<number[]> {
      const found = await rows<{ projectId: string; n: number }>(
        tx,
        sql`select b.project_id, count(distinct b.resource_id)::int as n from resource_binding b
            where b.project_id = any(${projectIds}::uuid[]) and b.resource_type = ${kind.type} and ${visible(caller, sql`b`)} group by 1`,
      )
      const counts = new Map(found.map(({ projectId, n }) => [projectId, n]))
      return projectIds.map((id) => counts.get(id) ?? 0)
    },
  })
