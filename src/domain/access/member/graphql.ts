import {
  builder,
  connectionOf,
  findRelated,
  type InputBuilder,
  idField,
  mutation,
  Node,
  payloadOf,
  readerOf,
  rootConnection,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { Role } from '../role/graphql.ts'
import { roleListing } from '../role/index.ts'
import { leaveOrganization, removeMember, transferOwnership, updateMember } from './commands.ts'
import { countMembers, listMembers, memberListing } from './queries.ts'

export const Member = builder.prismaObject('Member', {
  description: 'Membership of a user in the organization.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:members',
  fields: (t) => ({
    id: t.id(idField('Member')),
    role: t.field({
      type: Role,
      description: 'Role of the member.',
      select: { roleId: true },
      resolve: ({ roleId }, _args, context, info) => findRelated(context, info, roleListing, roleId),
    }),
    ...versionFields(t),
  }),
})

rootConnection(connectionOf(Member, memberListing), { list: listMembers, count: countMembers })

builder.prismaObjectField(Role, 'memberCount', (t) =>
  t.int({
    description: 'Number of members with this role.',
    select: { id: true },
    resolve: ({ id }, _args, context) =>
      context.load('Role.memberCount', id, (parentIds) =>
        memberListing.countsBelow(readerOf(context), { parent: 'roleId', parentIds, filter: {} }),
      ),
  }),
)

const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the member.' }) })
const deletedId = 'ID of the membership, which no longer exists.'

mutation(updateMember, {
  versioned: true,
  input: (t) => ({
    ...idInput(t),
    roleId: t.id({ description: 'ID of the new role.' }),
    projectIds: t.idList({
      description: 'IDs of the projects that the member can access, at most 500. Null means all projects. Must be null for an owner.',
    }),
  }),
  payload: payloadOf('member', Member, 'The updated member.'),
})

mutation(removeMember, {
  versioned: true,
  input: idInput,
  payload: (t) => ({ deletedId: t.id({ description: deletedId, resolve: (result) => encodeId('Member', result.deletedId) }) }),
})

mutation(leaveOrganization, {
  input: () => ({}),
  payload: (t) => ({ deletedId: t.id({ description: deletedId, resolve: (result) => encodeId('Member', result.deletedId) }) }),
})

mutation(transferOwnership, {
  input: (t) => ({ memberId: t.id({ required: true, description: 'ID of the member who becomes an owner.' }) }),
  payload: (t) => ({
    ...payloadOf<{ member: object }>('member', Member, 'The new owner.')(t as never),
    formerOwner: t.field({
      type: Member,
      description: 'The former owner, who is an Admin now.',
      resolve: (result) => result.formerOwner,
    }),
  }),
})
