import { onEvent } from '../../../platform/events.ts'
import { projectDeleted } from '../../apps/project/index.ts'
import { deleteEndpointsOfProject } from './commands.ts'

/** A project's endpoints go with it at once. */
onEvent(projectDeleted, (work, event) => deleteEndpointsOfProject(work, event.subjectId))
