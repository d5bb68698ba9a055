import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { memberLeft, memberRemoved } from '../member/index.ts'
import { roleDeleted } from '../role/index.ts'
import { revokeAll } from './commands.ts'
import { isPending } from './model.ts'

/** Pending invitations keep their role, by their foreign key. */
const deleteWithRole = onEvent(roleDeleted, async ({ tx, caller }, { subjectId: roleId }) => {
  await run(
    tx,
    sql`delete from invitation t where t.organization_id = ${caller.organizationId}::uuid and t.role_id = ${roleId}::uuid and not (${isPending})`,
  )
})

/** Nobody joins by the word of somebody who is gone, not even when that person is back. */
const revokeWithInviter = onEvent([memberRemoved, memberLeft], async (work, { subjectId: memberId }) => {
  await revokeAll(work, sql`t.invited_by_id = (select m.user_id from member m where m.id = ${memberId}::uuid)`, 'inviting member gone')
})

export const reactions: Reaction[] = [deleteWithRole, revokeWithInviter]
