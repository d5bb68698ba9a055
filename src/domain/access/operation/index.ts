/** Long work that a command starts and its caller polls for. What an operation does is declared by the concept whose command starts it. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { operationQueue } from './jobs.ts'
import { findOperation, operationListing } from './queries.ts'

export { type NewOperation, startOperation } from './commands.ts'
export { type OperationStep, type OperationType, operationTypes } from './model.ts'
export { findOperation } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Operation: 'op'
  }
}

export const operation = defineConcept({
  name: 'operation',
  idPrefixes: { Operation: 'op' },
  nodes: [operationListing],
  queries: [findOperation],
  queues: [operationQueue],
  constraints: stamped('operation'),
})
