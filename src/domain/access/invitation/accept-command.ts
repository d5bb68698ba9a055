import { z } from 'zod'
import { defineCommand, demandPerson } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { memberJoined } from '../member/index.ts'
import { type AcceptingUser, acceptInvitation as accept } from './accept.ts'

export const acceptInvitation = defineCommand({
  name: 'acceptInvitation',
  description:
    'Accepts an invitation as the signed-in user, who becomes a member of the organization that invited. Fails with `invitation_invalid` if the invitation has expired, or was accepted, revoked or replaced by a newer one, or if whoever invited may no longer do so, and with `forbidden` if it is for another email address.',
  permission: null,
  ids: {},
  targetType: null,
  input: z.object({ token: z.string().max(200) }),
  emits: [memberJoined],
  async run(work, { token }) {
    const id = demandPerson(work.caller)
    const user = (await row<AcceptingUser>(work.tx, sql`select id, name, email from user_account where id = ${id}::uuid`))!
    return { member: await accept(work, { token, user }) }
  },
})
