import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { MemberRow } from './model.ts'

const schema = z.object({
  memberId: z.string().describe('ID of the member.'),
  userId: z.string().describe('ID of the user.'),
  email: z.string().describe('Email address of the user.'),
  roleId: z.string().describe('ID of the role of the member.'),
  roleName: z.string().describe('Name of the role of the member.'),
  projectIds: z.array(z.string()).nullable().describe('IDs of the projects that the member is limited to. Null means all projects.'),
})
const sample = {
  memberId: 'mem_01h455vb4pex5vsknk084sn02q',
  userId: 'usr_01h455vb4pex5vsknk084sn02q',
  email: 'ada@example.com',
  roleId: 'role_01h455vb4pex5vsknk084sn02q',
  roleName: 'Developer',
  projectIds: null,
}

const define = (name: string, description: string) =>
  defineEvent({ type: `member.${name}`, version: 1, description, subject: 'Member', schema, sample })

export const memberJoined = define('joined', 'A user joined the organization by accepting an invitation.')
export const memberUpdated = define('updated', 'The role of a member changed, or the projects that the member can access.')
export const memberRemoved = define('removed', 'A member was removed from the organization.')
export const memberLeft = define('left', 'A member left the organization.')

export const eventOf = (member: MemberRow) => ({
  subjectId: member.id,
  projectId: null,
  data: {
    memberId: encodeId('Member', member.id),
    userId: encodeId('User', member.userId),
    email: member.email,
    roleId: encodeId('Role', member.roleId),
    roleName: member.roleName,
    projectIds: member.projectIds?.map((id) => encodeId('Project', id)) ?? null,
  },
})
