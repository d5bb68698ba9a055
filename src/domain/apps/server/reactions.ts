import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { organizationCreated } from '../../access/organization/index.ts'

/** Creates the server `local`, the machine of the control plane, for a new organization. */
const createLocalServer = onEvent(organizationCreated, async (work, event) => {
  await run(
    work.tx,
    sql`insert into server (id, organization_id, name, kind) values (${newId()}::uuid, ${event.subjectId}::uuid, 'local', 'local')`,
  )
})

export const reactions: Reaction[] = [createLocalServer]
