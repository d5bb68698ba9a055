import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { organizationCreated } from '../organization/index.ts'
import { demandRoomForOwner } from './organizations.ts'

/** The user who creates an organization becomes its owner. */
const addOwner = onEvent(organizationCreated, async (work, { subjectId: organizationId }) => {
  const { tx, caller } = work
  if (caller.userId === null) throw new Error('an organization needs a user who owns it')
  await demandRoomForOwner(work, caller.userId)
  await run(
    tx,
    sql`insert into member (id, organization_id, user_id, role_id)
        select ${newId()}::uuid, organization_id, ${caller.userId}::uuid, id from role
        where organization_id = ${organizationId}::uuid and system = 'OWNER'`,
  )
})

export const reactions: Reaction[] = [addOwner]
