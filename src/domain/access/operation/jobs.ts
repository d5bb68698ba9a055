import type { Operation } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { type Claimed, type Claims, claim, firstDueInMs, type Queue, renew, setAsideText } from '../../../platform/claim.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { DomainError } from '../../../platform/errors.ts'
import { type App, transact } from '../../../platform/work.ts'
import { operationsTopic, operationTopic, operationType } from './model.ts'

type ClaimedOperation = Claimed & Operation

const release = (app: App, { id, leaseEpoch }: Pick<ClaimedOperation, 'id' | 'leaseEpoch'>): Promise<number> =>
  run(app.db, sql`update operation set lease_owner = null, lease_expires_at = null where id = ${id}::uuid and lease_epoch = ${leaseEpoch}`)

/** In how many milliseconds the next operation is due. */
const firstDue = (app: App): Promise<number | null> =>
  firstDueInMs(app.db, 'operation', 'greatest(due_at, lease_expires_at)', sql`status in ('QUEUED', 'RUNNING')`)

/** Costs a single statement if nothing is due, which is the usual case. */
async function claimOperations(app: App, worker: string, limit: number): Promise<Claims<ClaimedOperation>> {
  const dueInMs = await firstDue(app)
  if (dueInMs === null || dueInMs > 0) return { items: [], dueInMs, waitsForOwn: false }
  const items = await claim<ClaimedOperation>(app.db, {
    table: 'operation',
    key: ['id'],
    due: sql`t.status in ('QUEUED', 'RUNNING') and t.due_at <= app_now()`,
    order: sql`t.due_at`,
    limit,
    owner: worker,
    leaseMs: app.settings.WORKER_LEASE_MS,
    set: sql`, status = 'RUNNING', started_at = coalesce(t.started_at, app_now())`,
  })
  return { items, dueInMs: await firstDue(app), waitsForOwn: false }
}

/** Runs the steps of operations, each in its own transaction. If a process dies, another one continues with the next step. */
export const operationQueue: Queue<ClaimedOperation> = {
  name: 'operations',
  rows: { table: 'operation', match: ({ id }) => sql`id = ${id}::uuid` },
  topic: operationsTopic,
  pollMs: 5_000,
  concurrency: 4,
  abortOnStop: true,
  claim: claimOperations,
  renew: (app, operation) =>
    renew(app.db, 'operation', sql`id = ${operation.id}::uuid`, operation.leaseEpoch, app.settings.WORKER_LEASE_MS),
  async work(app, { id, leaseEpoch }, signal) {
    while (!signal.aborted) {
      const delayMs = await runStep(app, id, leaseEpoch)
      if (delayMs !== 0) return delayMs === null ? undefined : 'pending'
    }
    await release(app, { id, leaseEpoch })
    return 'pending'
  },
  release,
  setAside: (app, { id, leaseEpoch }) => fail(app, id, leaseEpoch, setAsideText),
}

const endings = { done: 'COMPLETED', cancelled: 'CANCELLED' } as const

/** Returns the delay before the next step in milliseconds. Null if the operation has ended or another worker holds it. */
async function runStep(app: App, id: string, leaseEpoch: number): Promise<number | null> {
  const held = await row<Operation>(
    app.db,
    sql`select * from operation where id = ${id}::uuid and lease_epoch = ${leaseEpoch} and status = 'RUNNING'`,
  )
  if (!held) return null
  const type = operationType(app, held.type)
  try {
    return await transact(app, systemCaller(held.organizationId), { emits: type?.emits }, async (work) => {
      const operation = await row<Operation>(
        work.tx,
        sql`select * from operation where id = ${id}::uuid and lease_epoch = ${leaseEpoch} and status = 'RUNNING' for update`,
      )
      if (!operation) return null
      if (!type)
        throw new DomainError('internal', 'internal', `This version of Quayside does not support operations of type ${operation.type}.`)
      const { stepsCompleted, totalSteps, currentStep = null, progress, next } = await type.run(work, operation)
      const ended = typeof next === 'string'
      await run(
        work.tx,
        sql`update operation set steps_completed = ${stepsCompleted}, total_steps = ${totalSteps}, progress = ${JSON.stringify(progress)}::json,
              current_step = ${ended ? null : currentStep}, status = ${ended ? endings[next] : 'RUNNING'}::operation_status,
              finished_at = ${ended ? sql`app_now()` : sql`null`},
              due_at = app_now() + ${ended ? 0 : next} * interval '1 millisecond'
              ${ended || next > 0 ? sql`, lease_owner = null, lease_expires_at = null` : sql``}
            where id = ${id}::uuid`,
      )
      work.wake(operationTopic(id))
      return ended ? null : next
    })
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    await fail(app, id, leaseEpoch, error.message)
    return null
  }
}

async function fail(app: App, id: string, leaseEpoch: number, error: string): Promise<void> {
  await run(
    app.db,
    sql`update operation set status = 'FAILED', error = ${error}, current_step = null, finished_at = app_now(), lease_owner = null, lease_expires_at = null
        where id = ${id}::uuid and lease_epoch = ${leaseEpoch} and status = 'RUNNING'`,
  )
  app.wake.notify(operationTopic(id))
}
