import { rows, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { environmentDeleted } from '../../apps/environment/index.ts'
import { markDeleted } from '../resource/index.ts'
import { disconnectAll, resourceBindingDeleted } from '../resource-binding/index.ts'

/** Deletes the Redis instances of an environment that is deleted with `cascade`. */
const deleteWithEnvironment = onEvent(
  environmentDeleted,
  async (work, event) => {
    if (!event.data.cascade) return
    const instances = await rows<{ id: string }>(
      work.tx,
      sql`select id from redis where environment_id = ${event.subjectId}::uuid and desired_state <> 'DELETED' order by id for update`,
    )
    for (const { id } of instances) {
      await disconnectAll(work, id, { force: true })
      await markDeleted(work, 'redis', id)
    }
  },
  { emits: [resourceBindingDeleted] },
)

export const reactions: Reaction[] = [deleteWithEnvironment]
