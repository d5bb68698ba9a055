import {
  builder,
  connectionOf,
  findRelated,
  idField,
  mutation,
  Node,
  payloadOf,
  rootConnection,
  timestamps,
} from '../../../graphql/builder/index.ts'
import { Member } from '../member/graphql.ts'
import { Organization } from '../organization/graphql.ts'
import { organizationListing } from '../organization/index.ts'
import { Role } from '../role/graphql.ts'
import { roleListing } from '../role/index.ts'
import { acceptInvitation } from './accept-command.ts'
import { inviteMember, revokeInvitation } from './commands.ts'
import { countInvitations, invitationListing, listInvitations } from './queries.ts'

export const Invitation = builder.prismaObject('Invitation', {
  description: 'Invitation of a person to the organization. It is pending until it is accepted or revoked, or expires.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:members',
  fields: (t) => ({
    id: t.id(idField('Invitation')),
    email: t.exposeString('email', { description: 'Email address that was invited, in lower case.' }),
    role: t.field({
      type: Role,
      description: 'Role that the member will have.',
      select: { roleId: true },
      resolve: ({ roleId }, _args, context, info) => findRelated(context, info, roleListing, roleId),
    }),
    invitedBy: t.exposeString('invitedBy', { description: 'Name of the user or API key that invited.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'Time until which the invitation can be accepted.' }),
    acceptedAt: t.expose('acceptedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the invitation was accepted. Null if it has not been accepted.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time when the invitation was revoked or replaced by a newer one. Null if it has not been revoked.',
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    updatedAt: t.expose('updatedAt', timestamps.updatedAt),
  }),
})

rootConnection(connectionOf(Invitation, invitationListing), { list: listInvitations, count: countInvitations })

mutation(inviteMember, {
  input: (t) => ({
    email: t.string({ required: true, description: 'Email address of the person.' }),
    roleId: t.id({ required: true, description: 'ID of the role that the member will have.' }),
    projectIds: t.idList({
      description:
        'IDs of the projects that the member will be able to access, at most 500. When omitted or null, all projects. Must be null for an owner.',
    }),
  }),
  payload: (t) => ({
    invitation: t.field({ type: Invitation, description: 'The created invitation.', resolve: (result) => result.invitation as never }),
    link: t.exposeString('link', {
      nullable: true,
      description:
        'Link of the invitation, which is also in the mail. Returned only once. Null when a request is repeated with the same idempotency key.',
    }),
  }),
})

mutation(revokeInvitation, {
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the invitation.' }) }),
  payload: payloadOf('invitation', Invitation, 'The revoked invitation.'),
})

mutation(acceptInvitation, {
  input: (t) => ({
    token: t.string({ required: true, description: 'Token of the invitation, which follows `#invitation=` in its link.' }),
  }),
  payload: (t) => ({
    member: t.field({
      type: Member,
      description: 'Membership of the user in the organization that invited.',
      resolve: (result) => result.member,
    }),
    organization: t.field({
      type: Organization,
      description: 'Organization that invited.',
      resolve: ({ member }, _args, context, info) => findRelated(context, info, organizationListing, member.organizationId),
    }),
  }),
})
