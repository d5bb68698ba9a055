/** Where things run. "local" is built in. */
import './reactions.ts'

export { listServers, serverListing } from './queries.ts'
