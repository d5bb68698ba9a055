/** The operations that validate and remove servers. They only observe or delete, so that any process can continue them. */
import type { Operation, Server } from '../../../generated/prisma/client.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { DomainError } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import type { OperationStep, OperationType } from '../../access/operation/index.ts'
import { eventOf, serverEvents } from './events.ts'
import { seeLocal } from './local.ts'

const lookAgainMs = 250

const doing = (currentStep: string): OperationStep => ({ stepsCompleted: 0, totalSteps: 1, currentStep, progress: null, next: lookAgainMs })
const done: OperationStep = { stepsCompleted: 1, totalSteps: 1, progress: null, next: 'done' }

const failed = (text: string) => new DomainError('validation_failed', 'unprocessable', text)

export const validation: OperationType = {
  type: 'validateServer',
  async run(work, operation) {
    const server = await row<Server>(work.tx, sql`select * from server where id = ${operation.subjectId}::uuid`)
    if (!server || server.status === 'REMOVING') throw failed('The server is being removed.')
    if (server.kind === 'local') await seeLocal(work.app, work.tx, sql`id = ${server.id}::uuid`)
    if (server.status === 'ERROR') throw failed(server.statusMessage!)
    return server.status === 'ACTIVE' ? done : doing(`Validating ${server.name}`)
  },
}

export const removal: OperationType = { type: 'deleteServer', emits: [serverEvents.deleted], run: remove }

/** Waits for the end of a check in progress, which has the credential. */
async function remove(work: Work, { subjectId }: Operation): Promise<OperationStep> {
  const server = await row<Server & { isHeld: boolean }>(
    work.tx,
    sql`select *, coalesce(lease_expires_at > app_now(), false) as is_held from server where id = ${subjectId}::uuid for update`,
  )
  if (!server) return done
  if (server.isHeld) return doing('Waiting for a check to end')
  await publish(work, serverEvents.deleted, eventOf(server))
  await run(work.tx, sql`delete from server where id = ${server.id}::uuid`)
  return done
}
