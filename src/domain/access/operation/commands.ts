import { z } from 'zod'
import type { Operation } from '../../../generated/prisma/client.ts'
import { defineCommand, demand, visible } from '../../../platform/command.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { operationErrors } from './errors.ts'
import { queueAgain } from './job.ts'
import { endedStatuses, operationsTopic, operationTopic, operationType } from './model.ts'

export type NewOperation = {
  type: string
  projectId: string | null
  /** The object that the operation works on. */
  subjectId?: string
  input: object
  totalSteps: number | null
}

/** Queues an operation in the transaction of the command that starts it. */
export async function startOperation(work: Work, { type, projectId, subjectId, input, totalSteps }: NewOperation): Promise<Operation> {
  if (!operationType(work.app, type)) throw new Error(`no operation of type ${type} is declared`)
  work.wake(operationsTopic)
  const fields = {
    id: newId(),
    organizationId: work.caller.organizationId,
    projectId,
    subjectId: subjectId ?? null,
    type,
    input,
    totalSteps,
  }
  return (await row<Operation>(work.tx, sql`insert into operation ${newRow(fields)} returning *`))!
}

/** Puts the failed operations of a type back on the queue, where they continue with their next step. Returns their number. */
export const retryFailedOperations = (work: Work, type: string): Promise<number> => queueAgain(work, sql`type = ${type}`)

/** Fails an operation in the transaction that ends its work, unless it has ended. */
export async function failOperation(work: Work, id: string, error: string): Promise<void> {
  await run(
    work.tx,
    sql`update operation set status = 'FAILED', error = ${error}, current_step = null, finished_at = app_now(), lease_owner = null, lease_expires_at = null
        where id = ${id}::uuid and status in ('QUEUED', 'RUNNING')`,
  )
  work.wake(operationTopic(id))
}

export const cancelOperation = defineCommand({
  name: 'cancelOperation',
  description:
    'Cancels an operation, if its type supports it. An operation that has to end work in progress is returned unchanged, and has the status `CANCELLED` when that work has ended. Requires the permission for the mutation that started the operation. Fails with `operation_not_cancellable` if the operation has ended or can no longer be cancelled.',
  permission: 'view:organization',
  ids: { id: 'Operation' },
  targetType: 'Operation',
  target: ({ tx, caller }, { id }) =>
    row<Operation>(tx, sql`select t.* from operation t where t.id = ${id}::uuid and ${visible(caller, sql`t`)} for update`),
  input: z.object({}),
  emits: [],
  async run(work, _input, target: Operation) {
    const type = operationType(work.app, target.type)
    if (!type?.cancel) throw operationErrors.operation_not_cancellable({ field: 'id' })
    demand(work.caller, type.cancel.permission)
    const outcome = endedStatuses.has(target.status) ? 'too late' : await type.cancel.run({ ...work, emits: type.emits ?? [] }, target)
    if (outcome === 'too late') throw operationErrors.operation_not_cancellable({ field: 'id' })
    return { operation: outcome === 'cancelling' ? target : await markCancelled(work, target.id) }
  },
})

async function markCancelled(work: Work, id: string): Promise<Operation> {
  work.wake(operationTopic(id))
  return (await row<Operation>(
    work.tx,
    sql`update operation set status = 'CANCELLED', current_step = null, finished_at = app_now(), lease_owner = null, lease_expires_at = null
        where id = ${id}::uuid returning *`,
  ))!
}
