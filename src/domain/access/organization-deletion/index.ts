/** The end of organizations: everything that concepts keep for one is removed by an operation, and then the organization itself. */
import { defineConcept } from '../../../platform/concept.ts'
import { operationTypes } from '../operation/index.ts'
import { deleteOrganization } from './commands.ts'
import { resumeDeletions } from './jobs.ts'
import { removalOperation } from './removal.ts'

export { deleteOrganization } from './commands.ts'

export const organizationDeletion = defineConcept({
  name: 'organization-deletion',
  commands: [deleteOrganization],
  chores: [resumeDeletions],
  extensions: [operationTypes.with(removalOperation)],
})
