import { onEvent, type Reaction } from '../../../platform/events.ts'
import { projectDeleted } from '../../apps/project/index.ts'
import { deleteEndpointsOfProject } from './commands.ts'
import { webhookEndpointDeleted } from './events.ts'

/** A project's endpoints are deleted with it at once. */
const deleteWithProject = onEvent(projectDeleted, (work, event) => deleteEndpointsOfProject(work, event.subjectId), {
  emits: [webhookEndpointDeleted],
})

export const reactions: Reaction[] = [deleteWithProject]
