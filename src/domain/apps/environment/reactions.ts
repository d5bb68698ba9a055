import type { Environment } from '../../../generated/prisma/client.ts'
import { anyOf, rows, run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { projectCreated, projectDeleted } from '../project/index.ts'
import { insertEnvironment, markDeleting } from './commands.ts'
import { environmentCreated, environmentDeleted } from './events.ts'
import { keptEnvironments } from './model.ts'

/** Creates the production environment of a new project. */
const createProduction = onEvent(
  projectCreated,
  async (work, event) => {
    await insertEnvironment(
      work,
      { id: event.subjectId, organizationId: work.caller.organizationId },
      { name: 'Production', type: 'PRODUCTION' },
    )
  },
  { emits: [environmentCreated] },
)

/** Deletes the environments of a deleted project: empty ones immediately, the others once their services are deleted. */
const deleteWithProject = onEvent(
  projectDeleted,
  async (work, event) => {
    const environments = await rows<Environment>(
      work.tx,
      sql`select * from environment where project_id = ${event.subjectId}::uuid and deleting_at is null order by id for update`,
    )
    for (const environment of environments) await markDeleting(work, environment, event.data.cascade)
    await run(
      work.tx,
      sql`delete from environment e where e.project_id = ${event.subjectId}::uuid and not ${anyOf(keptEnvironments.of(work.app))}`,
    )
  },
  { emits: [environmentDeleted] },
)

export const reactions: Reaction[] = [createProduction, deleteWithProject]
