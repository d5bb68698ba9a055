import { onEvent, type Reaction } from '../../../platform/events.ts'
import { projectDeleted } from '../../apps/project/index.ts'
import { deleteEndpointsOfProject } from './commands.ts'
import { webhookEndpointDeleted } from './events.ts'

/** Deletes the endpoints of a project together with it. */
const deleteWithProject = onEvent(projectDeleted, (work, event) => deleteEndpointsOfProject(work, event.subjectId), {
  emits: [webhookEndpointDeleted],
})

export const reactions: Reaction[] = [deleteWithProject]
