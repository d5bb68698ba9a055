import { sql } from '../../../platform/db/index.ts'
import { type JobSource, jobErrors } from '../../access/job/index.ts'

export const backupJobs: JobSource = {
  name: 'backups',
  jobs: sql`select id, 'backup' as type, case when status = 'PENDING' then 'QUEUED' else status::text end as status, lease_epoch as attempts,
              error, organization_id, created_at, finished_at
            from backup where status in ('PENDING', 'RUNNING', 'FAILED')`,
  async retry() {
    throw jobErrors.job_not_retryable({ field: 'id', text: 'A backup is of one moment and is not repeated. Create another one.' })
  },
}
