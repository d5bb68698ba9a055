import { onEvent, type Reaction } from '../../../platform/events.ts'
import { projectDeleted } from '../../apps/project/index.ts'
import { secretDeleted } from './events.ts'
import { removeSecretsOfProject } from './remove.ts'

/** Deletes the secrets of a deleted project immediately. Instances that are still being stopped have received their values already. */
const deleteWithProject = onEvent(
  projectDeleted,
  async (work, event) => {
    if (event.data.cascade) await removeSecretsOfProject(work, event.subjectId)
  },
  { emits: [secretDeleted] },
)

export const reactions: Reaction[] = [deleteWithProject]
