/** What gives a service a project's secret, under an alias. Which value that is, resolution decides. */
import './reactions.ts'

export { bindSecret, setSecretBindings, unbindSecret } from './commands.ts'
export { secretBindingErrors } from './errors.ts'
export { secretBindingCreated, secretBindingDeleted } from './events.ts'
export { bindingsBySecret, bindingsByService, listSecretBindings, type NamedBinding, sliceSecretBindings } from './queries.ts'
