/** Servers: the built-in server `local` of each organization, on which everything runs, and machines that are registered with SSH credentials. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stampedByVersion } from '../../../platform/db/constraints.ts'
import { operationTypes } from '../../access/operation/index.ts'
import { organizationContents, rowsOfAccess } from '../../access/organization/index.ts'
import { serverChecks } from './check.ts'
import { acceptServerHostKey, createServer, deleteServer, updateServer, validateServer } from './commands.ts'
import { serverErrors } from './errors.ts'
import { serverEvents } from './events.ts'
import { reactions, seeLocalServers } from './local.ts'
import { credentialIdentity } from './model.ts'
import { removal, validation } from './operation.ts'
import { sshPort } from './ports.ts'
import { countServers, findServer, listServers, serverListing } from './queries.ts'

export { acceptServerHostKey, createServer, deleteServer, demandPlaceable, updateServer, validateServer } from './commands.ts'
export { serverEvents } from './events.ts'
export type { ServerRow } from './model.ts'
export { sshPort } from './ports.ts'
export { findServer, listServers } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Server: 'srv'
  }
}

export const server = defineConcept({
  name: 'server',
  idPrefixes: { Server: 'srv' },
  nodes: [serverListing],
  commands: [createServer, updateServer, validateServer, deleteServer, acceptServerHostKey],
  queries: [listServers, countServers, findServer],
  events: Object.values(serverEvents),
  errors: [serverErrors],
  reactions,
  queues: [serverChecks],
  chores: [seeLocalServers],
  ports: [sshPort],
  sealed: [{ table: 'server', key: 'id', column: 'credential', identity: credentialIdentity }],
  extensions: [
    organizationContents.with(rowsOfAccess('servers', ['server'])),
    operationTypes.with(validation),
    operationTypes.with(removal),
  ],
  constraints: [
    stampedByVersion('server'),
    check(
      'server',
      'kind',
      `CASE kind WHEN 'local' THEN num_nonnulls(host, port, ssh_user, auth_method, credential, next_check_at) = 0
      ELSE kind = 'ssh' AND num_nulls(host, port, ssh_user, auth_method) = 0 END`,
    ),
    check('server', 'port', 'port BETWEEN 1 AND 65535'),
  ],
})
