/** Servers on which builds and instances run. Every organization has the built-in server `local`. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { organizationContents, rowsOfAccess } from '../../access/organization/index.ts'
import { countServers, listServers, serverListing } from './queries.ts'
import { reactions } from './reactions.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Server: 'srv'
  }
}

export const server = defineConcept({
  name: 'server',
  idPrefixes: { Server: 'srv' },
  nodes: [serverListing],
  queries: [listServers, countServers],
  reactions,
  extensions: [organizationContents.with(rowsOfAccess('servers', ['server']))],
  constraints: stamped('server'),
})
