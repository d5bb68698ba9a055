/** SSH keys of users. A key whose private half Quayside has can be used as a deploy key by services of the organizations of its owner. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { addSshKey, deleteSshKey, generateSshKey } from './commands.ts'
import { sshKeyErrors } from './errors.ts'
import { privateKeyIdentity } from './model.ts'
import { pageSshKeys, sshKeyListing } from './queries.ts'

export { addSshKey, deleteSshKey, generateSshKey } from './commands.ts'
export { demandDeployKey, openDeployKey } from './deploy-key.ts'
export { normalPrivateKey } from './key-text.ts'
export type { SshKeyRow } from './model.ts'
export { pageSshKeys, sshKeyListing } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    SshKey: 'ssh'
  }
}

export const sshKey = defineConcept({
  name: 'ssh-key',
  idPrefixes: { SshKey: 'ssh' },
  nodes: [sshKeyListing],
  commands: [addSshKey, generateSshKey, deleteSshKey],
  queries: [pageSshKeys],
  errors: [sshKeyErrors],
  sealed: [{ table: 'ssh_key', key: 'id', column: 'private_key', identity: privateKeyIdentity, of: 'installation' }],
  constraints: stamped('ssh_key'),
})
