import { z } from 'zod'
import { administration } from '../../../platform/access.ts'
import { defineCommand } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { jobErrors } from './errors.ts'
import { type JobRow, type JobSource, jobSources } from './model.ts'
import { readJob } from './queries.ts'

type Found = { id: string; source: JobSource; job: JobRow }

export const retryJob = defineCommand({
  name: 'retryJob',
  description:
    'Puts a failed job back on its queue: an operation that can continue with its next step, the order of a certificate, or the deliveries of a webhook message that were given up. Fails with `job_not_retryable`, which says why, for others. For administrators of the installation.',
  permission: administration,
  ids: { id: 'AdminJob' },
  // Without a target type: a job has no columns that audit entries show.
  targetType: null,
  async target({ app, tx }, { id }): Promise<Found | null> {
    for (const source of jobSources.of(app)) {
      const job = await readJob(tx, [source], id!)
      if (job) return { id: job.id, source, job }
    }
    return null
  },
  input: z.object({}),
  emits: [],
  async run(work, _input, { source, job }: Found) {
    if (job.status !== 'FAILED') throw jobErrors.job_not_retryable({ field: 'id', text: 'The job has not failed.' })
    await source.retry(work, job)
    return { job: (await readJob(work.tx, [source], job.id)) ?? job }
  },
  audited: (_input, { job: { id, type, organizationId } }) => ({
    jobId: encodeId('AdminJob', id),
    type,
    organizationId: organizationId && encodeId('Organization', organizationId),
  }),
})
