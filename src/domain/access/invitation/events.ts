import { z } from 'zod'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import type { InvitationRow } from './model.ts'

export const memberInvited = defineEvent({
  type: 'member.invited',
  version: 1,
  description: 'Somebody was invited to the organization. A newer invitation replaces an earlier one to the same address.',
  subject: 'Invitation',
  schema: z.object({
    invitationId: z.string().describe('ID of the invitation.'),
    email: z.string().describe('Email address that was invited.'),
    roleId: z.string().describe('ID of the role that the member will have.'),
    projectIds: z.array(z.string()).nullable().describe('IDs of the projects that the member will be limited to. Null means all projects.'),
    invitedBy: z.string().describe('Name of the user or API key that invited.'),
    expiresAt: z.string().describe('Expiry time of the invitation, in ISO format.'),
  }),
  sample: {
    invitationId: 'inv_01h455vb4pex5vsknk084sn02q',
    email: 'ada@example.com',
    roleId: 'role_01h455vb4pex5vsknk084sn02q',
    projectIds: null,
    invitedBy: 'Grace Hopper',
    expiresAt: '2026-01-31T12:00:00.000Z',
  },
})

export const eventOf = (invitation: InvitationRow) => ({
  subjectId: invitation.id,
  projectId: null,
  data: {
    invitationId: encodeId('Invitation', invitation.id),
    email: invitation.email,
    roleId: encodeId('Role', invitation.roleId),
    projectIds: invitation.projectIds?.map((id) => encodeId('Project', id)) ?? null,
    invitedBy: invitation.invitedBy,
    expiresAt: invitation.expiresAt.toISOString(),
  },
})
