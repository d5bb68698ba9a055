import { run, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { type JobSource, jobErrors } from '../../access/job/index.ts'
import { ordersTopic } from './model.ts'
import { certificateAuthority } from './ports.ts'

/** Between two attempts that people ask for. */
const leastMs = 60_000

/** Makes the next attempt due, no sooner than the certificate authority allows. */
export async function attemptSoon(work: Work, id: string): Promise<void> {
  work.wake(ordersTopic)
  await run(
    work.tx,
    sql`update certificate set next_attempt_at = greatest(app_now(), blocked_until, last_attempt_at + ${leastMs} * interval '1 millisecond')
        where id = ${id}::uuid`,
  )
}

/** Certificates that are served are no jobs, although they are renewed, unless the renewal fails. */
export const certificateJobs: JobSource = {
  name: 'certificates',
  jobs: sql`select id, 'certificate' as type,
              case when lease_owner is not null then 'RUNNING' when error is not null then 'FAILED' else 'QUEUED' end as status,
              attempts, error, organization_id, created_at, last_attempt_at as finished_at
            from certificate where source = 'ACME' and (status <> 'ACTIVE' or error is not null)`,
  async retry(work, { id }) {
    if (!certificateAuthority.isProvided(work.app))
      throw jobErrors.job_not_retryable({ field: 'id', text: 'Certificates are not issued automatically.' })
    await attemptSoon(work, id)
  },
}
