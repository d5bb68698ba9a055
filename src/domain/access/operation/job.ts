import { setAsideText } from '../../../platform/claim.ts'
import { run, type Sql, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { type JobSource, jobErrors } from '../job/index.ts'
import { operationsTopic, operationType } from './model.ts'

/** Puts failed operations back on the queue, where they continue with their next step. Returns their number. */
export async function queueAgain(work: Work, which: Sql): Promise<number> {
  work.wake(operationsTopic)
  return run(
    work.tx,
    sql`update operation set status = 'QUEUED', error = null, finished_at = null, due_at = app_now(), lease_ended = lease_epoch
        where ${which} and status = 'FAILED'`,
  )
}

/** An operation that was set aside had not failed by itself, so it can continue whatever its type is. */
export const operationJobs: JobSource = {
  name: 'operations',
  jobs: sql`select id, type, case when status = 'PENDING' then 'QUEUED' else status::text end as status, lease_epoch as attempts, error,
              organization_id, created_at, finished_at
            from operation where status in ('PENDING', 'QUEUED', 'RUNNING', 'FAILED')`,
  async retry(work, { id, type, error }) {
    if (error !== setAsideText && !operationType(work.app, type)?.retryable)
      throw jobErrors.job_not_retryable({
        field: 'id',
        text: 'An operation of this type cannot continue after a failure. Start a new one.',
      })
    await queueAgain(work, sql`id = ${id}::uuid`)
  },
}
