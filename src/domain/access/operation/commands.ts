import type { Operation, Prisma } from '../../../generated/prisma/client.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { operationsTopic, operationType } from './model.ts'

export type NewOperation = { type: string; projectId: string | null; input: Prisma.InputJsonObject; totalSteps: number | null }

/** Queues an operation in the transaction of the command that starts it. */
export async function startOperation(work: Work, { type, projectId, input, totalSteps }: NewOperation): Promise<Operation> {
  if (!operationType(work.app, type)) throw new Error(`no operation of type ${type} is declared`)
  work.wake(operationsTopic)
  return work.tx.operation.create({
    data: { id: newId(), organizationId: work.caller.organizationId, projectId, type, input, totalSteps },
  })
}
