import type { Operation, OperationStatus } from '../../../generated/prisma/client.ts'
import type { Permission } from '../../../platform/access.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { EventDefinition } from '../../../platform/events.ts'
import type { App, Work } from '../../../platform/work.ts'

/** Wake-up topic: an operation may be due. */
export const operationsTopic = 'operations'

/** Wake-up topic: the state of this operation has changed. */
export const operationTopic = (id: string): string => `operation:${id}`

export const endedStatuses: ReadonlySet<OperationStatus> = new Set<OperationStatus>(['COMPLETED', 'FAILED', 'CANCELLED'])

/** Progress of an operation after a step. */
export type OperationStep = {
  stepsCompleted: number
  totalSteps: number | null
  /** What the operation is doing, for users. */
  currentStep?: string | null
  /** Plain JSON, which the next step finds in `operation.progress`. */
  progress: unknown
  /** `done` completes the operation. A number is the delay before the next step in milliseconds. */
  next: 'done' | 'cancelled' | number
}

/**
 * Runs one step in the transaction that also updates the operation's row, so that both are committed or neither. A DomainError fails
 * the operation with its text. After any other error the step is retried.
 */
export type RunStep = (work: Work, operation: Operation) => Promise<OperationStep>

/**
 * Cancels the work of an operation that has not ended, whose row is locked. `cancelled` ends the operation; `cancelling` leaves that to its next
 * steps; `too late` refuses the cancellation.
 */
type Cancel = { permission: Permission; run: (work: Work, operation: Operation) => Promise<'cancelled' | 'cancelling' | 'too late'> }

/**
 * A type of operation: the name of the command that starts it, its step and, if it can be cancelled, how. `retryable`: one that has failed can
 * continue with its next step.
 */
export type OperationType = { type: string; emits?: readonly EventDefinition[]; run: RunStep; cancel?: Cancel; retryable?: true }

/** Each concept adds the operations that its commands start. */
export const operationTypes = defineExtensionPoint<OperationType>('operation types')

export const operationType = (app: App, type: string): OperationType | undefined =>
  operationTypes.of(app).find((known) => known.type === type)

/** Share of completed steps. Null if their number is not known. */
export const progressPercent = ({
  status,
  stepsCompleted,
  totalSteps,
}: Pick<Operation, 'status' | 'stepsCompleted' | 'totalSteps'>): number | null => {
  if (status === 'COMPLETED') return 100
  return totalSteps ? Math.min(99, Math.floor((100 * stepsCompleted) / totalSteps)) : null
}
