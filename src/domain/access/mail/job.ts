import { sql } from '../../../platform/db/index.ts'
import { type JobSource, jobErrors } from '../job/index.ts'

const failed = sql`from mail_recipient r where r.mail_id = m.id and r.status = 'FAILED'`

export const mailJobs: JobSource = {
  name: 'mails',
  jobs: sql`select m.id, 'mail' as type,
              case when m.status = 'ENDED' then 'FAILED' when m.lease_owner is not null then 'RUNNING' else 'QUEUED' end as status,
              m.attempt_count as attempts, (select min(r.text) ${failed}) as error, m.organization_id, m.created_at,
              case when m.status = 'ENDED' then m.updated_at end as finished_at
            from mail m where m.status = 'PENDING' or exists (select 1 ${failed})`,
  async retry() {
    throw jobErrors.job_not_retryable({
      field: 'id',
      text: 'The content of a mail is removed when it has failed, so it cannot be sent again.',
    })
  },
}
