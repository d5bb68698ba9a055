import type { Operation } from '../../../generated/prisma/client.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { operationsTopic, operationTopic, operationType } from './model.ts'

export type NewOperation = { type: string; projectId: string | null; input: object; totalSteps: number | null }

/** Queues an operation in the transaction of the command that starts it. */
export async function startOperation(work: Work, { type, projectId, input, totalSteps }: NewOperation): Promise<Operation> {
  if (!operationType(work.app, type)) throw new Error(`no operation of type ${type} is declared`)
  work.wake(operationsTopic)
  const fields = { id: newId(), organizationId: work.caller.organizationId, projectId, type, input, totalSteps }
  return (await row<Operation>(work.tx, sql`insert into operation ${newRow(fields)} returning *`))!
}

/** Puts the failed operations of a type back on the queue, where they continue with their next step. Returns their number. */
export async function retryFailedOperations(work: Work, type: string): Promise<number> {
  work.wake(operationsTopic)
  return run(
    work.tx,
    sql`update operation set status = 'QUEUED', error = null, finished_at = null, due_at = app_now()
        where type = ${type} and status = 'FAILED'`,
  )
}

/** Fails an operation in the transaction that ends its work, unless it has ended. */
export async function failOperation(work: Work, id: string, error: string): Promise<void> {
  await run(
    work.tx,
    sql`update operation set status = 'FAILED', error = ${error}, finished_at = app_now(), lease_owner = null, lease_expires_at = null
        where id = ${id}::uuid and status in ('QUEUED', 'RUNNING')`,
  )
  work.wake(operationTopic(id))
}
