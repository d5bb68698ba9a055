import { onEvent, type Reaction } from '../../../platform/events.ts'
import { environmentDeleted } from '../environment/index.ts'
import { markAllDeleted } from './commands.ts'
import { webServiceDeleted } from './events.ts'

/** With `cascade`, an environment's services are deleted with it. */
const deleteWithEnvironment = onEvent(
  environmentDeleted,
  async (work, event) => {
    if (event.data.cascade) await markAllDeleted(work, event.subjectId)
  },
  { emits: [webServiceDeleted] },
)

export const reactions: Reaction[] = [deleteWithEnvironment]
