import { sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { webServiceDeleted } from '../../apps/web-service/index.ts'
import { removeDisks } from './commands.ts'
import { diskEvents } from './events.ts'

/** Deletes the disks of a deleted service. */
const deleteWithService = onEvent(webServiceDeleted, (work, { subjectId }) => removeDisks(work, sql`web_service_id = ${subjectId}::uuid`), {
  emits: [diskEvents.deleted],
})

export const reactions: Reaction[] = [deleteWithService]
