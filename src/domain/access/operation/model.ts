import type { Operation, OperationStatus } from '../../../generated/prisma/client.ts'
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
  /** Plain JSON, which the next step finds in `operation.progress`. */
  progress: unknown
  /** `done` completes the operation. A number is the delay before the next step in milliseconds. */
  next: 'done' | number
}

/**
 * Runs one step in the transaction that also updates the operation's row, so that both are committed or neither. A DomainError fails
 * the operation with its text. After any other error the step is retried.
 */
export type RunStep = (work: Work, operation: Operation) => Promise<OperationStep>

/** A type of operation: the name of the command that starts it, and its step. */
export type OperationType = { type: string; emits?: readonly EventDefinition[]; run: RunStep }

/** Each concept adds the operations that its commands start. */
export const operationTypes = defineExtensionPoint<OperationType>('operation types')

export const operationType = (app: App, type: string): OperationType | undefined =>
  operationTypes.of(app).find((known) => known.type === type)
