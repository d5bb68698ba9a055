/** Bindings, which give a service a secret of its project under an alias. See resolution for the value that the service receives. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { boundServices } from '../secret/index.ts'
import { bindSecret, setSecretBindings, unbindSecret } from './commands.ts'
import { secretBindingErrors } from './errors.ts'
import { secretBindingCreated, secretBindingDeleted } from './events.ts'
import { listSecretBindings, secretBindingListing, servicesBoundTo, sliceSecretBindings } from './queries.ts'
import { reactions } from './reactions.ts'

export { bindSecret, setSecretBindings, unbindSecret } from './commands.ts'
export { secretBindingCreated } from './events.ts'
export { bindingsByService, listSecretBindings, sliceSecretBindings } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    SecretBinding: 'bind'
  }
}

export const secretBinding = defineConcept({
  name: 'secret-binding',
  idPrefixes: { SecretBinding: 'bind' },
  nodes: [secretBindingListing],
  commands: [bindSecret, setSecretBindings, unbindSecret],
  queries: [listSecretBindings, sliceSecretBindings],
  events: [secretBindingCreated, secretBindingDeleted],
  errors: [secretBindingErrors],
  reactions,
  extensions: [boundServices.with(servicesBoundTo)],
  constraints: [...stamped('secret_binding'), check('secret_binding', 'alias', "alias ~ '^[A-Za-z_][A-Za-z0-9_]*$'")],
})
