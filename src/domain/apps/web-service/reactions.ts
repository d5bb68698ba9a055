import { onEvent, type Reaction } from '../../../platform/events.ts'
import { environmentDeleted } from '../environment/index.ts'
import { markAllDeleted } from './commands.ts'
import { webServiceDeleted } from './events.ts'

/** Deletes the services of an environment that is deleted with `cascade`. */
const deleteWithEnvironment = onEvent(
  environmentDeleted,
  async (work, event) => {
    if (event.data.cascade) await markAllDeleted(work, event.subjectId)
  },
  { emits: [webServiceDeleted] },
)

export const reactions: Reaction[] = [deleteWithEnvironment]
