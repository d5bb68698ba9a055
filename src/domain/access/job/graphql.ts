import { builder, connectionTypeOf, enumType, mutation, payloadOf, rootConnection, timestamps } from '../../../graphql/builder/index.ts'
import { administration } from '../../../platform/access.ts'
import { encodeId } from '../../../platform/id.ts'
import { retryJob } from './commands.ts'
import type { JobRow } from './model.ts'
import { countJobs, jobDescription, listJobs } from './queries.ts'

const AdminJobStatus = enumType('AdminJobStatus', 'Status of a job.', {
  QUEUED: 'Waiting for a worker, or for its next attempt.',
  RUNNING: 'A worker is working on it.',
  FAILED: 'Failed. See `error` for the reason.',
})

const AdminJob = builder.objectRef<JobRow>('AdminJob').implement({
  description: 'A row of a queue that has not succeeded, as administrators of the installation see it.',
  permission: administration,
  fields: (t) => ({
    id: t.id({
      description:
        'ID of the job. Its UUID is that of the deployment, operation, backup, certificate, mail or message that the job works on.',
      resolve: ({ id }) => encodeId('AdminJob', id),
    }),
    type: t.exposeString('type', {
      description: 'What the job does: `deployment`, `backup`, `certificate`, `mail`, `webhook`, or the type of an operation.',
    }),
    status: t.expose('status', { type: AdminJobStatus, description: 'Status of the job.' }),
    attempts: t.exposeInt('attempts', { description: 'How often a worker has begun with the job.' }),
    error: t.exposeString('error', { nullable: true, description: 'Reason of the last failure. Null if there was none.' }),
    organizationId: t.id({
      nullable: true,
      description: 'ID of the organization that the job belongs to. Null for one of the installation.',
      resolve: ({ organizationId }) => organizationId && encodeId('Organization', organizationId),
    }),
    createdAt: t.expose('createdAt', timestamps.createdAt),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'Time when the job failed. Null before.' }),
  }),
})

const listing = { type: 'AdminJob', description: jobDescription } as const

rootConnection(
  { name: 'AdminJob', type: connectionTypeOf<JobRow>(AdminJob, 'AdminJob'), listing },
  {
    list: listJobs,
    count: countJobs,
    args: builder.args((t) => ({ status: t.field({ type: AdminJobStatus, description: 'Return only jobs with this status.' }) })),
  },
)

mutation(retryJob, {
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the job.' }) }),
  payload: payloadOf('job', AdminJob, 'The job.'),
})
