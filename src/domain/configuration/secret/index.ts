/** Secrets of a project: a key at a scope, with immutable versions. A secret reaches a service only through a binding. */
import { defineConcept } from '../../../platform/concept.ts'
import { createSecret, deleteSecret, revokeSecretVersion, setSecrets, updateSecret } from './commands.ts'
import { constraints } from './constraints.ts'
import { secretErrors } from './errors.ts'
import { secretCreated, secretDeleted, secretRevealed, secretUpdated } from './events.ts'
import { versionIdentity } from './model.ts'
import { findSecret, plainSecretValues, secretListing, sliceSecrets } from './queries.ts'
import { reactions } from './reactions.ts'
import { revealSecret } from './reveal.ts'

export { createSecret, deleteSecret, revokeSecretVersion, setSecrets, updateSecret } from './commands.ts'
export { secretDeleted, secretRevealed, secretUpdated } from './events.ts'
export { type BoundService, boundServices, statusOfVersion, versionIdentity } from './model.ts'
export { plainSecretValues, secretListing, sliceSecrets, versionsBySecret } from './queries.ts'
export { markSecretsRevealed, publishSecretReveal, revealSecret } from './reveal.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Secret: 'sec'
  }
}

export const secret = defineConcept({
  name: 'secret',
  idPrefixes: { Secret: 'sec' },
  nodes: [secretListing],
  commands: [createSecret, updateSecret, setSecrets, deleteSecret, revokeSecretVersion, revealSecret],
  queries: [findSecret, sliceSecrets, plainSecretValues],
  events: [secretCreated, secretUpdated, secretDeleted, secretRevealed],
  errors: [secretErrors],
  reactions,
  sealed: [{ table: 'secret_version', key: 'id', column: 'value', identity: versionIdentity }],
  constraints,
})
