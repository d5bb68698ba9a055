import { run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { projectDeleted } from '../../apps/project/index.ts'

/** Deletes the backups of a project that is deleted with `cascade`. Otherwise they keep it from being deleted. */
const deleteWithProject = onEvent(projectDeleted, async (work, event) => {
  if (!event.data.cascade) return
  await run(
    work.tx,
    sql`update backup set deleting_at = app_now(), due_at = app_now() where project_id = ${event.subjectId}::uuid and deleting_at is null`,
  )
  work.wake('purge backups')
})

export const reactions: Reaction[] = [deleteWithProject]
