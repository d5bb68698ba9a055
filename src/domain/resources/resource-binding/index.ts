/**
 * Connections of managed resources to services. A binding gives a service variables, as a source of its own in the resolution of its
 * configuration. Each kind of resource says which values it gives (`bindableKinds`).
 */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { variableSources } from '../../configuration/resolution/index.ts'
import { connectToService, disconnectResource } from './commands.ts'
import { resourceBindingCreated, resourceBindingDeleted } from './events.ts'
import { resourceBindingListing } from './queries.ts'
import { connectionVariables } from './source.ts'

export { deleteWithEnvironment } from './cascade.ts'
export { connectToService, disconnectResource } from './commands.ts'
export { resourceBindingCreated, resourceBindingDeleted } from './events.ts'
export { type BindableKind, type BoundTo, type BoundValue, bindableKinds, oneValueFor } from './model.ts'
export { bindingsByResource, countConnectedByProject } from './queries.ts'
export { connectResource, disconnectAll, moveBindings } from './store.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    ResourceBinding: 'rbind'
  }
}

export const resourceBinding = defineConcept({
  name: 'resource-binding',
  idPrefixes: { ResourceBinding: 'rbind' },
  nodes: [resourceBindingListing],
  commands: [connectToService, disconnectResource],
  events: [resourceBindingCreated, resourceBindingDeleted],
  extensions: [variableSources.with(connectionVariables)],
  constraints: [
    ...stamped('resource_binding'),
    {
      name: 'resource_binding_environment_fkey',
      // Not checked for a resource of the organization, which has no environment.
      create:
        'ALTER TABLE resource_binding ADD CONSTRAINT resource_binding_environment_fkey FOREIGN KEY (organization_id, project_id, environment_id, resource_id) REFERENCES resource (organization_id, project_id, environment_id, id) ON DELETE RESTRICT;',
      drop: 'ALTER TABLE resource_binding DROP CONSTRAINT resource_binding_environment_fkey;',
    },
  ],
})
