/** Roles: named sets of permissions within an organization. What the permissions are is declared in platform/access. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { organizationContents, rowsOfAccess } from '../organization/index.ts'
import { createRole, deleteRole, updateRole } from './commands.ts'
import { roleErrors } from './errors.ts'
import { roleCreated, roleDeleted, roleUpdated } from './events.ts'
import { countRoles, listPermissions, listRoles, roleListing } from './queries.ts'
import { reactions } from './reactions.ts'

export { createRole, deleteRole, updateRole } from './commands.ts'
export { roleDeleted } from './events.ts'
export { demandGrantable, permissionsOf } from './model.ts'
export { listPermissions, listRoles, roleListing } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Role: 'role'
  }
}

export const role = defineConcept({
  name: 'role',
  idPrefixes: { Role: 'role' },
  nodes: [roleListing],
  commands: [createRole, updateRole, deleteRole],
  queries: [listRoles, countRoles, listPermissions],
  events: [roleCreated, roleUpdated, roleDeleted],
  errors: [roleErrors],
  reactions,
  extensions: [organizationContents.with(rowsOfAccess('roles', ['role']))],
  constraints: [
    ...stamped('role'),
    {
      name: 'role_name_key',
      create: 'CREATE UNIQUE INDEX role_name_key ON role (organization_id, lower(name));',
      drop: 'DROP INDEX role_name_key;',
    },
  ],
})
