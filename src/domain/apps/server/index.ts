/** Where things run. "local" is built in. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { listServers } from './queries.ts'
import { reactions } from './reactions.ts'

export { listServers, serverListing } from './queries.ts'

export const server = defineConcept({
  name: 'server',
  queries: [listServers],
  reactions,
  constraints: stamped('server'),
})
