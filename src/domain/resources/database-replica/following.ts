/** A replica follows its database: what is desired of it, its settings, and its moments. */
import { rows, run, sql } from '../../../platform/db/index.ts'
import { onEvent, type Reaction } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { databaseEvents } from '../database/index.ts'
import { resourceTopic, statusOnceDesired } from '../resource/index.ts'

/** Copies what is desired of a database to its replicas. */
export async function followDatabase(work: Work, databaseId: string): Promise<void> {
  const followed = await rows<{ id: string }>(
    work.tx,
    sql`update database_replica r set desired_state = d.desired_state, generation = d.generation, revision = d.revision, next_start_at = null,
          status = case when d.desired_state = 'DELETED' then 'DELETING'
                        when (d.desired_state, d.generation) is distinct from (r.desired_state, r.generation)
                        then ${statusOnceDesired(sql`d.desired_state`, sql`r.status`)} else r.status end, version = r.version + 1
        from database d where d.id = ${databaseId}::uuid and r.database_id = d.id and r.desired_state <> 'DELETED' returning r.id`,
  )
  if (followed.length > 0) work.wake('database_replica', ...followed.map(({ id }) => resourceTopic(id)))
}

/** A replica that failed because its database was away tries again as soon as that runs. */
const retryWithDatabase = onEvent([databaseEvents.started, databaseEvents.restarted, databaseEvents.recovered], async (work, event) => {
  await run(
    work.tx,
    sql`update database_replica set next_start_at = null where database_id = ${event.subjectId}::uuid and next_start_at is not null`,
  )
  work.wake('database_replica')
})

export const reactions: Reaction[] = [retryWithDatabase]

/** Conditions on the row `t` of a resource. A replica is first copied when its database runs, and a database is removed after its replicas. */
export const waitsForDatabase = sql`exists (select 1 from database_replica r join database d on d.id = r.database_id
  where r.id = t.id and r.status = 'CREATING' and r.desired_state = 'RUNNING' and d.status <> 'RUNNING')`
export const hasReplicas = sql`exists (select 1 from database_replica r where r.database_id = t.id)`
