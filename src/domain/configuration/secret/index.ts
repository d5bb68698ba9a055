/** Secrets of a project: a key at a scope, with versions that never change. They reach a service only through a binding. */
import { defineSealedColumn } from '../../../platform/reseal.ts'
import { versionIdentity } from './model.ts'
import './reactions.ts'

defineSealedColumn({ table: 'secret_version', key: 'id', column: 'value', identity: versionIdentity })

export { createSecret, deleteSecret, revokeSecretVersion, setSecrets, updateSecret } from './commands.ts'
export { secretErrors } from './errors.ts'
export { secretCreated, secretDeleted, secretRevealed, secretUpdated } from './events.ts'
export { nameOfSecret, statusOfVersion, versionIdentity } from './model.ts'
export { currentBySecret, findSecret, plainSecretValues, secretListing, sliceSecrets, versionsBySecret } from './queries.ts'
export { markSecretsRevealed, openVersion, publishSecretReveal, revealSecret } from './reveal.ts'
