import { onEvent } from '../../../platform/events.ts'
import { projectDeleted } from '../../apps/project/index.ts'
import { removeOfProject } from './commands.ts'

/** A project's secrets go with it at once: its services are ending, and what still runs has its values already. */
onEvent(projectDeleted, async (work, event) => {
  if (event.data.cascade) await removeOfProject(work, event.subjectId)
})
