import { inviteMember } from '../../../domain/access/invitation/index.ts'
import { leaveOrganization, listMembers, removeMember, updateMember } from '../../../domain/access/member/index.ts'
import { commandRow, queryRow, type Route, type Source } from '../../core/index.ts'
import { done } from '../field.ts'
import { invitationBody, memberBodies, oneMember, organizationSchemas as schemas } from '../organization-bodies.ts'
import { defaultPageSize, pageOf } from '../page.ts'

const tag = 'Members'
const params = { memberId: 'id' }
const roleId: Source = { to: 'roleId', required: true, description: 'ID of the role.' }

export const memberRoutes: Route[] = [
  queryRow({
    id: 'listMembers',
    method: 'GET',
    path: '/members',
    tag,
    summary: 'List members',
    read: listMembers,
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.memberList,
    reply: async (page, view) => pageOf(page, await memberBodies(page.rows, view)),
  }),
  commandRow({
    id: 'inviteMember',
    method: 'POST',
    path: '/members/invite',
    tag,
    summary: 'Invite a person',
    description:
      'Mails a link, which can be used once, to sign up or to join. A new invitation replaces a pending one to the same address. Nobody invites to a role with more permissions than they have themselves.',
    command: inviteMember,
    body: { email: 'email', roleId },
    status: 201,
    schema: schemas.invitation,
    reply: invitationBody,
  }),
  commandRow({
    id: 'updateMemberRole',
    method: 'PUT',
    path: '/members/{memberId}/role',
    tag,
    summary: 'Change the role of a member',
    description: 'Applies to the API keys and sessions of the member at once. An organization keeps at least one owner.',
    command: updateMember,
    params,
    body: { roleId },
    status: 200,
    schema: schemas.member,
    reply: ({ member }, view) => oneMember(member, view),
    version: ({ member }) => member.version,
  }),
  commandRow({
    id: 'removeMember',
    method: 'DELETE',
    path: '/members/{memberId}',
    tag,
    summary: 'Remove a member',
    description: 'Revokes the API keys of the member in this organization. An organization keeps at least one owner.',
    command: removeMember,
    params,
    ...done('Member removed'),
  }),
  commandRow({
    id: 'leaveOrganization',
    method: 'POST',
    path: '/members/leave',
    tag,
    summary: 'Leave the organization',
    description: 'Revokes your API keys in this organization. The last owner cannot leave.',
    people: true,
    command: leaveOrganization,
    ...done('You have left the organization'),
  }),
]
