import { raw, rows, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import { environmentDeleted } from '../../apps/environment/index.ts'
import { markDeleted } from '../resource/index.ts'
import { resourceBindingDeleted } from './events.ts'
import { disconnectAll } from './store.ts'

/** Deletes the resources of a kind with their environment, if it is deleted with `cascade`. */
export const deleteWithEnvironment = (table: string): Reaction =>
  onEvent(
    environmentDeleted,
    async (work, event) => {
      if (!event.data.cascade) return
      const found = await rows<{ id: string }>(
        work.tx,
        sql`select id from ${raw(table)} where environment_id = ${event.subjectId}::uuid and desired_state <> 'DELETED' order by id for update`,
      )
      for (const { id } of found) {
        await disconnectAll(work, id, { force: true })
        await markDeleted(work, table, id)
      }
    },
    { emits: [resourceBindingDeleted] },
  )
