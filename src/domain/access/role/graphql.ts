import {
  builder,
  connectionOf,
  type InputBuilder,
  idField,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { createRole, deleteRole, updateRole } from './commands.ts'
import { permissionsOf } from './model.ts'
import { describedPermissions } from './permission.ts'
import { countRoles, listRoles, roleListing } from './queries.ts'

export const Role = builder.prismaObject('Role', {
  description: 'A named set of permissions. Every member of the organization has one.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:roles',
  fields: (t) => ({
    id: t.id(idField('Role')),
    name: t.exposeString('name', { description: 'Name of the role, unique within the organization regardless of case.' }),
    description: t.exposeString('description', { nullable: true, description: 'Description of the role.' }),
    isSystem: t.boolean({
      description:
        'Whether the role is one of Owner, Admin, Developer and Viewer, which every organization has and which cannot be changed.',
      select: { system: true },
      resolve: ({ system }) => system !== null,
    }),
    permissions: t.stringList({
      description: 'Permissions of the role, each as `<verb>:<resource>`.',
      select: { system: true, permissions: true },
      resolve: (role) => [...permissionsOf(role)],
    }),
    ...versionFields(t),
  }),
})

rootConnection(connectionOf(Role, roleListing), { list: listRoles, count: countRoles })

const Permission = builder.objectRef<(typeof describedPermissions)[number]>('Permission').implement({
  description: 'Something that a role can permit.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name of the permission, `<verb>:<resource>`.' }),
    description: t.exposeString('description', { description: 'What the permission allows.' }),
  }),
})

builder.queryField('permissions', (t) =>
  t.field({
    type: [Permission],
    extensions: { rows: describedPermissions.length },
    description: 'All permissions that roles can have.',
    resolve: () => [...describedPermissions],
  }),
)

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the role.' }) })

mutation(createRole, {
  input: (t) => ({
    name: t.string({ required: true, description: 'Name of the role, from 1 to 100 characters.' }),
    description: t.string({ description: 'Description of the role, at most 500 characters.' }),
    permissions: t.stringList({
      required: true,
      description: 'Names of the permissions of the role, as the query `permissions` returns them. The caller must have each of them.',
    }),
  }),
  payload: payloadOf('role', Role, 'The created role.'),
})

mutation(updateRole, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    name: t.string({ description: 'New name of the role, from 1 to 100 characters.' }),
    description: t.string({ description: 'New description of the role, at most 500 characters. Null clears it.' }),
    permissions: t.stringList({ description: 'Names of the new permissions of the role, which replace the previous ones.' }),
  }),
  payload: payloadOf('role', Role, 'The updated role.'),
})

mutation(deleteRole, {
  versioned: true,
  input: idInput,
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted role.', resolve: (result) => encodeId('Role', result.deletedId) }),
  }),
})
