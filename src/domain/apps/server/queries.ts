import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'

/** Servers belong to the organization as a whole. A caller that is limited to projects sees only the local one, on which its services run. */
export const serverListing = defineListing({
  type: 'Server',
  noun: 'server',
  description: 'Servers of the organization, oldest first.',
  permission: 'view:servers',
  order: 'oldest_first',
  omit: ['credential'],
  audited: ['name', 'host', 'port', 'sshUser', 'authMethod', 'status', 'hostKeyType', 'hostKeyFingerprint'],
  visible: (caller) =>
    sql`t.organization_id = ${caller.organizationId}::uuid${caller.projectIds === null ? sql`` : sql` and t.kind = 'local'`}`,
})

export const listServers = listQuery(serverListing)
export const countServers = countQuery(serverListing)
export const findServer = findQuery(serverListing)
