/** The installation as a whole, for its administrators: all users and organizations, and who may sign in. */
import { defineConcept } from '../../../platform/concept.ts'
import { createUser, deactivateUser, reactivateUser } from './commands.ts'
import { installationErrors } from './errors.ts'
import {
  countAdminAuditLog,
  countAdminOrganizations,
  countAdminUsers,
  listAdminAuditLog,
  listAdminOrganizations,
  listAdminUsers,
  prepareAdminAuditLog,
} from './queries.ts'

export { createUser, deactivateUser, reactivateUser } from './commands.ts'
export { type AdminOrganizationRow, type AdminUserRow, listAdminOrganizations, listAdminUsers } from './queries.ts'

export const installation = defineConcept({
  name: 'installation',
  commands: [createUser, deactivateUser, reactivateUser],
  queries: [
    listAdminUsers,
    countAdminUsers,
    listAdminOrganizations,
    countAdminOrganizations,
    listAdminAuditLog,
    countAdminAuditLog,
    prepareAdminAuditLog,
  ],
  errors: [installationErrors],
})
