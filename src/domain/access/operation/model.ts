import type { Operation } from '../../../generated/prisma/client.ts'
import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { EventDefinition } from '../../../platform/events.ts'
import type { App, Work } from '../../../platform/work.ts'

/** Wake-up topic of operations that may be due. */
export const operationsTopic = 'operations'

export const operationStatuses = ['PENDING', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const

/** How far one step has brought an operation. */
export type OperationStep = {
  stepsCompleted: number
  totalSteps: number | null
  /** What the next step is given as `operation.progress`; plain JSON. */
  progress: unknown
  /** `done` ends it; a number is after how many milliseconds the next step may be made. */
  next: 'done' | number
}

/**
 * One step, in one transaction together with the operation's own row: both are kept, or neither. A DomainError fails the operation
 * with its text; after anything else the step is made again.
 */
export type RunStep = (work: Work, operation: Operation) => Promise<OperationStep>

/** A type of operation: the name of the command that starts it, and its step. */
export type OperationType = { type: string; emits?: readonly EventDefinition[]; run: RunStep }

/** Each concept adds the operations that its commands start. */
export const operationTypes = defineExtensionPoint<OperationType>('operation types')

export const operationType = (app: App, type: string): OperationType | undefined =>
  operationTypes.of(app).find((known) => known.type === type)
