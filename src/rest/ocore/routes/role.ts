import { z } from 'zod'
import { createRole, deleteRole, listPermissions, listRoles, updateRole } from '../../../domain/access/role/index.ts'
import { commandRow, queryRow, type Route, type Source, type View } from '../../core/index.ts'
import { done } from '../field.ts'
import { permissionBody, type RoleRow, roleBodies, organizationSchemas as schemas } from '../organization-bodies.ts'
import { defaultPageSize, pageOf } from '../page.ts'

const tag = 'Roles and permissions'
const params = { roleId: 'id' }
const permissionIds: Source = {
  to: 'permissions',
  schema: z.array(z.string()),
  description: 'IDs of permissions, as `GET /permissions` lists them. Nobody grants a permission that they do not have themselves.',
}

/** Response of a command that returns the role. */
const theRole = {
  schema: schemas.role,
  reply: async ({ role }: { role: RoleRow }, view: View) => (await roleBodies([role], view))[0]!,
  version: ({ role }: { role: { version: number } }) => role.version,
}

export const roleRoutes: Route[] = [
  queryRow({
    id: 'listRoles',
    method: 'GET',
    path: '/roles',
    tag,
    summary: 'List roles',
    read: listRoles,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.roleList,
    reply: async (page, view) => pageOf(page, await roleBodies(page.rows, view)),
  }),
  queryRow({
    id: 'listPermissions',
    method: 'GET',
    path: '/permissions',
    tag,
    summary: 'List permissions',
    description: 'Returns all permissions at once.',
    read: listPermissions,
    status: 200,
    schema: schemas.permissionList,
    reply: (permissions) => ({ data: permissions.map(permissionBody), has_more: false }),
  }),
  commandRow({
    id: 'createRole',
    method: 'POST',
    path: '/roles',
    tag,
    summary: 'Create a role',
    command: createRole,
    body: { name: 'name', description: 'description', permissionIds: { ...permissionIds, required: true } },
    status: 201,
    ...theRole,
  }),
  commandRow({
    id: 'updateRole',
    method: 'PUT',
    path: '/roles/{roleId}',
    tag,
    summary: 'Update a role',
    description: 'Omitted fields keep their value. Members with the role, and their API keys, have the new permissions at once.',
    command: updateRole,
    params,
    body: { name: 'name', description: 'description', permissionIds },
    status: 200,
    ...theRole,
  }),
  commandRow({
    id: 'deleteRole',
    method: 'DELETE',
    path: '/roles/{roleId}',
    tag,
    summary: 'Delete a role',
    description: 'A role that members or pending invitations have answers 409.',
    command: deleteRole,
    params,
    ...done('Role deleted'),
  }),
]
