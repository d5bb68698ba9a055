/** Roles: named sets of permissions within an organization. What the permissions are is declared in platform/access. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { reactions } from './reactions.ts'

export { permissionsOf } from './model.ts'

export const role = defineConcept({
  name: 'role',
  reactions,
  constraints: [
    ...stamped('role'),
    {
      name: 'role_name_key',
      create: 'CREATE UNIQUE INDEX role_name_key ON role (organization_id, lower(name));',
      drop: 'DROP INDEX role_name_key;',
    },
  ],
})
