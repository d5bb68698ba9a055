import { onEvent } from '../../../platform/events.ts'
import { environmentDeleted } from '../environment/index.ts'
import { markAllDeleted } from './commands.ts'

/** With `cascade` an environment's services go with it. */
onEvent(environmentDeleted, async (work, event) => {
  if (event.data.cascade) await markAllDeleted(work, event.subjectId)
})
