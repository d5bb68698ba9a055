import type { ResourceBinding } from '../../../generated/prisma/client.ts'
import { sql } from '../../../platform/db/index.ts'
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
