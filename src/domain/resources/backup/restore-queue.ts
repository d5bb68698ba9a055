/** Restores backups into the data of new databases. */
import type { Backup, Database, Restore } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { type Claimed, type Claims, claim, type End, firstDueInMs, type Queue, renew, setAsideText } from '../../../platform/claim.ts'
import { outageOf, row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { type App, transact } from '../../../platform/work.ts'
import { failOperation } from '../../access/operation/index.ts'
import { specOf } from '../database/index.ts'
import { markDeleted } from '../resource/index.ts'
import { restoresTopic, storedBackup } from './model.ts'
import { backupEngine, type RestoreTarget } from './ports.ts'

type ClaimedRestore = Restore & Claimed

const match = ({ databaseId }: Restore) => sql`database_id = ${databaseId}::uuid`
const held = ({ databaseId, leaseEpoch }: ClaimedRestore) => sql`database_id = ${databaseId}::uuid and lease_epoch = ${leaseEpoch}`

const release = (app: App, restore: ClaimedRestore): Promise<number> =>
  run(app.db, sql`update restore set lease_owner = null, lease_expires_at = null where ${held(restore)}`)

const firstDue = (app: App): Promise<number | null> =>
  firstDueInMs(app.db, 'restore', 'greatest(due_at, lease_expires_at)', sql`status in ('PENDING', 'RUNNING')`)

async function claimRestores(app: App, worker: string, limit: number): Promise<Claims<ClaimedRestore>> {
  const dueInMs = await firstDue(app)
  if (dueInMs === null || dueInMs > 0) return { items: [], dueInMs, waitsForOwn: false }
  const items = await claim<ClaimedRestore>(app.db, {
    table: 'restore',
    key: ['database_id'],
    due: sql`t.status in ('PENDING', 'RUNNING') and t.due_at <= app_now()`,
    order: sql`t.due_at`,
    limit,
    owner: worker,
    leaseMs: app.settings.WORKER_LEASE_MS,
    set: sql`, status = 'RUNNING', steps_completed = 0`,
  })
  return { items, dueInMs: await firstDue(app), waitsForOwn: false }
}

export const restoreQueue: Queue<ClaimedRestore> = {
  name: 'restores',
  rows: { table: 'restore', match },
  topic: restoresTopic,
  pollMs: 30_000,
  concurrency: 2,
  abortOnStop: true,
  claim: claimRestores,
  renew: (app, restore) => renew(app.db, 'restore', match(restore), restore.leaseEpoch, app.settings.WORKER_LEASE_MS),
  release,
  work: restoreOne,
  setAside: (app, restore) => fail(app, restore, setAsideText),
}

async function restoreOne(app: App, restore: ClaimedRestore, signal: AbortSignal): Promise<End | void> {
  const tx = app.db
  const database = await row<Database>(
    tx,
    sql`select * from database where id = ${restore.databaseId}::uuid and desired_state <> 'DELETED'`,
  )
  const backup = await row<Backup>(tx, sql`select * from backup where id = ${restore.backupId}::uuid`)
  if (!database || !backup) return
  const onStep = async (completed: number) => {
    const kept = await run(tx, sql`update restore set steps_completed = ${completed} where ${held(restore)}`)
    if (kept === 0) throw new Error('The restore is handled by another process.')
  }
  try {
    const target = await targetOf(app, tx, restore)
    await backupEngine.use(app).restore(await specOf({ app, tx }, database), storedBackup(app, backup), target, onStep, signal)
  } catch (error) {
    if (signal.aborted) {
      await release(app, restore)
      return 'pending'
    }
    if (outageOf(error) === 'database') throw error
    if (!(error instanceof PortError)) app.log.error({ err: error, database: database.id }, 'a backup could not be restored')
    return fail(
      app,
      restore,
      error instanceof PortError ? error.message : 'The backup could not be restored. The log of Quayside has the reason.',
    )
  }
  await run(tx, sql`update restore set status = 'COMPLETED', lease_owner = null, lease_expires_at = null where ${held(restore)}`)
  app.wake.notify('database')
}

async function targetOf(app: App, tx: Tx, { sourceId, targetTime }: Restore): Promise<RestoreTarget> {
  if (!targetTime) return null
  const source = sourceId && (await row<Database>(tx, sql`select * from database where id = ${sourceId}::uuid`))
  if (!source) throw new PortError('WAL_MISSING', 'The original database was deleted.')
  return { time: targetTime, source: await specOf({ app, tx }, source), sourceIsRunning: source.status === 'RUNNING' }
}

/** Fails the operation with the reason, and deletes the new database: nothing half restored is left. */
const fail = (app: App, restore: ClaimedRestore, error: string): Promise<void> =>
  transact(app, systemCaller(restore.organizationId), {}, async (work) => {
    const failed = await run(
      work.tx,
      sql`update restore set status = 'FAILED', lease_owner = null, lease_expires_at = null where ${held(restore)}`,
    )
    if (failed === 0) return
    await failOperation(work, restore.operationId, error)
    await markDeleted(work, 'database', restore.databaseId)
  })
