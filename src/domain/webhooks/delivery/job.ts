import { row, run, sql } from '../../../platform/db/index.ts'
import { type JobSource, jobErrors } from '../../access/job/index.ts'
import { deliveriesTopic } from './model.ts'

/**
 * A job is a message with all of its deliveries that are pending or were given up. The ids are those of messages, and found by the deliveries,
 * because most messages have been delivered.
 */
export const webhookJobs: JobSource = {
  name: 'webhooks',
  jobs: sql`select m.id, 'webhook' as type, s.status, s.attempts, s.error, m.organization_id, m.created_at,
              case when s.status = 'FAILED' then s.updated_at end as finished_at
            from (select message_id from webhook_delivery where status = 'PENDING'
                  union select message_id from webhook_delivery where status = 'EXHAUSTED') c
              join webhook_message m on m.id = c.message_id cross join lateral (
                select case when not bool_or(d.status = 'PENDING') then 'FAILED' when bool_or(d.lease_owner is not null) then 'RUNNING'
                         else 'QUEUED' end as status,
                       sum(d.attempt_count)::int as attempts, max(d.reason) as error, max(d.updated_at) as updated_at
                from webhook_delivery d where d.message_id = m.id and d.status in ('PENDING', 'EXHAUSTED')) s`,
  async retry(work, { id }) {
    const refuse = (text: string) => jobErrors.job_not_retryable({ field: 'id', text })
    if (!(await row(work.tx, sql`select 1 as one from webhook_message where id = ${id}::uuid and body is not null for share`)))
      throw refuse('The payload of the message was removed.')
    const queued = await run(
      work.tx,
      sql`update webhook_delivery d
          set status = 'PENDING', reason = null, trigger = 'MANUAL', operation_id = null, next_attempt_at = app_now(),
              schedule_base = attempt_count, in_doubt = false
          where message_id = ${id}::uuid and status = 'EXHAUSTED'
            and exists (select 1 from webhook_endpoint e where e.id = d.endpoint_id and e.disabled_at is null)`,
    )
    if (queued === 0) throw refuse('The endpoints of the message are disabled or were deleted.')
    work.wake(deliveriesTopic)
  },
}
