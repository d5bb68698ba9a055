/** Long-running operations that a command starts and its caller polls. The concept of that command defines the work of the operation. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { jobSources } from '../job/index.ts'
import { organizationContents, rowsOfAccess } from '../organization/index.ts'
import { cancelOperation } from './commands.ts'
import { operationErrors } from './errors.ts'
import { operationJobs } from './job.ts'
import { operationQueue } from './jobs.ts'
import { findOperation, operationListing } from './queries.ts'

export { failOperation, retryFailedOperations, startOperation } from './commands.ts'
export { type OperationStep, type OperationType, operationTypes, progressPercent } from './model.ts'
export { findOperation, operationListing } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Operation: 'op'
  }
}

export const operation = defineConcept({
  name: 'operation',
  idPrefixes: { Operation: 'op' },
  nodes: [operationListing],
  commands: [cancelOperation],
  queries: [findOperation],
  errors: [operationErrors],
  queues: [operationQueue],
  extensions: [jobSources.with(operationJobs), organizationContents.with(rowsOfAccess('operations', ['operation']))],
  constraints: stamped('operation'),
})
