import { builder, connectionOf, idField, mutation, payloadOf, rootConnection, timestamps } from '../../../graphql/builder/index.ts'
import { administration } from '../../../platform/access.ts'
import { auditEntries, auditFilters } from '../audit-log/graphql.ts'
import { createUser, deactivateUser, reactivateUser } from './commands.ts'
import {
  adminAuditListing,
  adminOrganizationListing,
  adminUserListing,
  countAdminAuditLog,
  countAdminOrganizations,
  countAdminUsers,
  listAdminAuditLog,
  listAdminOrganizations,
  listAdminUsers,
  prepareAdminAuditLog,
} from './queries.ts'

/** A value that the listing computes. */
const computed = <Name extends string, Value>(name: Name) => ({
  extensions: { columns: [name] },
  resolve: (row: object) => (row as Record<Name, Value>)[name],
})

const AdminUser = builder.prismaObject('User', {
  variant: 'AdminUser',
  description: 'A user, as administrators of the installation see it.',
  select: { id: true },
  permission: administration,
  fields: (t) => ({
    id: t.id(idField('User')),
    email: t.exposeString('email', { description: 'Email address of the user, in lower case.' }),
    name: t.exposeString('name', { description: 'Name of the user.' }),
    emailVerified: t.boolean({
      description: 'Whether the user showed, by the link of a mail, that the address is theirs.',
      select: { emailVerifiedAt: true },
      resolve: ({ emailVerifiedAt }) => emailVerifiedAt !== null,
    }),
    isAdministrator: t.exposeBoolean('isAdministrator', { description: 'Whether the user is an administrator of the installation.' }),
    organizationCount: t.int({
      description: 'Number of organizations that the user is a member of.',
      ...computed<'organizationCount', number>('organizationCount'),
    }),
    totpEnabled: t.boolean({
      description: 'Whether the user signs in with one-time passwords.',
      ...computed<'totpEnabled', boolean>('totpEnabled'),
    }),
    lastLoginAt: t.expose('lastLoginAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the last login. Null if there was none.',
    }),
    deactivatedAt: t.expose('deactivatedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time since when the user is deactivated. Null for an active user.',
    }),
    version: t.exposeInt('version', { description: 'Version of the object, incremented by every change.' }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

const AdminOrganization = builder.prismaObject('Organization', {
  variant: 'AdminOrganization',
  description: 'An organization, as administrators of the installation see it.',
  select: { id: true },
  permission: administration,
  fields: (t) => ({
    id: t.id(idField('Organization')),
    name: t.exposeString('name', { description: 'Name of the organization.' }),
    slug: t.exposeString('slug', { description: 'Slug of the organization, unique within the installation.' }),
    memberCount: t.int({ description: 'Number of members of the organization.', ...computed<'memberCount', number>('memberCount') }),
    deletingAt: t.expose('deletingAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time since when the organization is being deleted. Null if it is not.',
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

rootConnection(connectionOf(AdminUser, adminUserListing, 'AdminUser'), {
  list: listAdminUsers,
  count: countAdminUsers,
  args: builder.args((t) => ({
    search: t.string({ description: 'Return only users whose email address or name contains this text, in any case.' }),
  })),
})

rootConnection(connectionOf(AdminOrganization, adminOrganizationListing, 'AdminOrganization'), {
  list: listAdminOrganizations,
  count: countAdminOrganizations,
})

rootConnection(
  { ...auditEntries, listing: adminAuditListing },
  { list: listAdminAuditLog, count: countAdminAuditLog, check: prepareAdminAuditLog, args: auditFilters },
)

mutation(createUser, {
  input: (t) => ({
    email: t.string({ required: true, description: 'Email address of the user.' }),
    name: t.string({ required: true, description: 'Name of the user.' }),
    password: t.string({ required: true, description: 'Password of the user, 8 to 256 characters.' }),
    organizationId: t.id({ required: true, description: 'ID of the organization that the user becomes a member of.' }),
    roleId: t.id({ description: 'ID of the role in the organization. Defaults to that of the role Viewer.' }),
  }),
  payload: payloadOf('user', AdminUser, 'The created user.'),
})

mutation(deactivateUser, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the user.' }) }),
  payload: payloadOf('user', AdminUser, 'The deactivated user.'),
})

mutation(reactivateUser, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the user.' }) }),
  payload: payloadOf('user', AdminUser, 'The reactivated user.'),
})
