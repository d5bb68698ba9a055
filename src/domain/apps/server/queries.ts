import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'

/** Servers belong to the organization as a whole, and a caller that is limited to projects sees where its services run. */
export const serverListing = defineListing({
  type: 'Server',
  noun: 'server',
  description: 'Servers of the organization, oldest first.',
  permission: 'view:servers',
  order: 'oldest_first',
  omit: ['credential'],
  audited: ['name', 'host', 'port', 'sshUser', 'authMethod', 'status', 'hostKeyType', 'hostKeyFingerprint'],
  visible: (caller) => sql`t.organization_id = ${caller.organizationId}::uuid`,
})

export const listServers = listQuery(serverListing)
export const countServers = countQuery(serverListing)
export const findServer = findQuery(serverListing)
