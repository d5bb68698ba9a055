import { sql } from '../../../platform/db/index.ts'
import { type JobSource, jobErrors } from '../../access/job/index.ts'

export const deploymentJobs: JobSource = {
  name: 'deployments',
  jobs: sql`select id, 'deployment' as type, case when status = 'CANCELLING' then 'RUNNING' else status::text end as status,
              lease_epoch as attempts, failure_message as error, organization_id, created_at, finished_at
            from deployment where status in ('QUEUED', 'RUNNING', 'CANCELLING', 'FAILED')`,
  async retry() {
    throw jobErrors.job_not_retryable({ field: 'id', text: 'A deployment is not repeated. Deploy the service again.' })
  },
}
