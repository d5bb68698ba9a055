import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'

export const serverListing = defineListing({
  type: 'Server',
  noun: 'server',
  description: 'Servers of the organization, oldest first.',
  permission: 'view:servers',
  order: 'oldest_first',
  visible: (caller) => sql`t.organization_id = ${caller.organizationId}::uuid`,
})

export const listServers = listQuery(serverListing)
export const countServers = countQuery(serverListing)
