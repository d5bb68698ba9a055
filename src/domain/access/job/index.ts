/** Jobs of all queues, for administrators of the installation. The queues and their rows belong to the concepts that work on them. */
import { defineConcept } from '../../../platform/concept.ts'
import { retryJob } from './commands.ts'
import { jobErrors } from './errors.ts'
import { countJobs, listJobs } from './queries.ts'

export { retryJob } from './commands.ts'
export { jobErrors } from './errors.ts'
export { type JobRow, type JobSource, jobSources } from './model.ts'
export { listJobs } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    AdminJob: 'job'
  }
}

export const job = defineConcept({
  name: 'job',
  idPrefixes: { AdminJob: 'job' },
  commands: [retryJob],
  queries: [listJobs, countJobs],
  errors: [jobErrors],
})
