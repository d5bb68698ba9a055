import type { Operation } from '../../../generated/prisma/client.ts'
import type { Work } from '../../../platform/work.ts'

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

const kinds = new Map<string, RunStep>()

/** Declares how operations of a type go on. The type is the name of the command that starts them. */
export function defineOperation(type: string, step: RunStep): void {
  if (kinds.has(type)) throw new Error(`operation ${type} is declared twice`)
  kinds.set(type, step)
}

export const stepOf = (type: string): RunStep | undefined => kinds.get(type)
