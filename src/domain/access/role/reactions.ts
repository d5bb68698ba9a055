import { newRow, run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { organizationCreated } from '../organization/index.ts'
import { systemRoles } from './model.ts'

/** Creates the system roles of a new organization. */
const createSystemRoles = onEvent(organizationCreated, async ({ tx }, { subjectId: organizationId }) => {
  for (const [system, { name, description }] of Object.entries(systemRoles))
    await run(tx, sql`insert into role ${newRow({ id: newId(), organizationId, system, name, description })}`)
})

export const reactions: Reaction[] = [createSystemRoles]
