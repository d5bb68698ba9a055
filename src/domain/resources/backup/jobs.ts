/** Takes backups: the row is claimed, the engine writes the archive into the store, and the result is recorded. */
import type { Backup, Database } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { type Claims, claim, type End, firstDueInMs, type Queue, renew, setAsideText } from '../../../platform/claim.ts'
import { outageOf, raw, row, run, type Sql, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { type EventDefinition, publish } from '../../../platform/events.ts'
import { type App, transact } from '../../../platform/work.ts'
import { specOf } from '../database/index.ts'
import { allBackupEvents, backupEvents, eventOf } from './events.ts'
import { backupsTopic } from './model.ts'
import { type BackupDetails, backupEngine, backupStore, isOfFiles } from './ports.ts'

export const backupRows = { table: 'backup', match: ({ id }: Backup) => sql`id = ${id}::uuid` }

type ClaimRequest = {
  /** Condition on the backup `t`. */
  due: Sql
  /** When a backup in that state can be claimed. */
  dueAt: string
  set?: Sql
}

/** Claims backups in some states. Costs a single statement if nothing is due, which is the usual case. */
export async function claimBackups(app: App, worker: string, limit: number, { due, dueAt, set }: ClaimRequest): Promise<Claims<Backup>> {
  const wanted = sql`${due} and t.deleting_at is null`
  const firstDue = () => firstDueInMs(app.db, 'backup t', dueAt, wanted)
  const dueInMs = await firstDue()
  if (dueInMs === null || dueInMs > 0) return { items: [], dueInMs, waitsForOwn: false }
  const items = await claim<Backup>(app.db, {
    table: 'backup',
    key: ['id'],
    due: sql`${wanted} and ${raw(dueAt)} <= app_now()`,
    order: sql`t.due_at`,
    limit,
    owner: worker,
    leaseMs: app.settings.WORKER_LEASE_MS,
    ...(set ? { set } : {}),
  })
  return { items, dueInMs: await firstDue(), waitsForOwn: false }
}

export const renewBackup = (app: App, { id, leaseEpoch }: Backup) =>
  renew(app.db, 'backup', sql`id = ${id}::uuid`, leaseEpoch, app.settings.WORKER_LEASE_MS)

/** Lets another worker continue after `waitMs`. */
export const releaseBackup = (app: App, { id, leaseEpoch }: Backup, waitMs = 0, error: string | null = null): Promise<number> =>
  run(
    app.db,
    sql`update backup set lease_owner = null, lease_expires_at = null, due_at = app_now() + ${waitMs} * interval '1 millisecond', error = ${error}
        where id = ${id}::uuid and lease_epoch = ${leaseEpoch}`,
  )

/** Records the result of a step with its event, unless the lease is lost. */
export async function settle(app: App, backup: Backup, assignments: Sql, event: EventDefinition): Promise<void> {
  await transact(app, systemCaller(backup.organizationId), { emits: [event] }, async (work) => {
    const changed = await row<Backup>(
      work.tx,
      sql`update backup set ${assignments}, version = version + 1, lease_owner = null, lease_expires_at = null
          where id = ${backup.id}::uuid and lease_epoch = ${backup.leaseEpoch} returning *`,
    )
    if (!changed) return
    await publish(work, event, eventOf(changed))
    work.wake(backupsTopic, 'prune backups', `backup:${backup.id}`)
  })
}

export const fail = (app: App, backup: Backup, error: string) =>
  settle(app, backup, sql`status = 'FAILED', error = ${error}, finished_at = coalesce(finished_at, app_now())`, backupEvents.failed)

export const backupQueue: Queue<Backup> = {
  name: 'backups',
  emits: allBackupEvents,
  rows: backupRows,
  topic: backupsTopic,
  pollMs: 30_000,
  concurrency: 1,
  abortOnStop: true,
  claim: (app, worker, limit) =>
    claimBackups(app, worker, limit, {
      due: sql`t.status in ('PENDING', 'RUNNING')`,
      dueAt: 'greatest(t.due_at, t.lease_expires_at)',
      set: sql`, status = 'RUNNING', version = t.version + 1, started_at = coalesce(t.started_at, app_now())`,
    }),
  renew: renewBackup,
  release: releaseBackup,
  work: takeBackup,
  async setAside(app, backup) {
    await backupStore.use(app).remove(backup.archive)
    await fail(app, backup, setAsideText)
  },
}

async function takeBackup(app: App, backup: Backup, signal: AbortSignal): Promise<End | void> {
  let details: BackupDetails
  try {
    details = await writeArchive(app, backup, signal)
  } catch (error) {
    if (signal.aborted) {
      await releaseBackup(app, backup)
      return 'pending'
    }
    if (outageOf(error) === 'database') throw error
    if (!(error instanceof PortError)) app.log.error({ err: error, backup: backup.id }, 'a backup could not be taken')
    return fail(
      app,
      backup,
      error instanceof PortError ? error.message : 'The backup could not be taken. The log of Quayside has the reason.',
    )
  }
  await settle(
    app,
    backup,
    sql`status = 'STORED', details = ${JSON.stringify(details)}::json, size_bytes = ${details.sizeBytes}, checksum = ${details.sha256},
        postgres_version = ${details.serverVersion}, wal_kept = ${isOfFiles(details)}, consistent_at = ${details.targetTime}::timestamptz, finished_at = app_now(), error = null`,
    backupEvents.completed,
  )
}

async function writeArchive(app: App, backup: Backup, signal: AbortSignal): Promise<BackupDetails> {
  const tx = app.db
  const store = backupStore.use(app)
  // What an earlier attempt left.
  await store.remove(backup.archive)
  const database = await row<Database>(tx, sql`select * from database where id = ${backup.databaseId}::uuid and status = 'RUNNING'`)
  if (!database) throw new PortError('DATABASE_UNAVAILABLE', 'The database is not running.')
  const source = await specOf({ app, tx }, database)
  const details = await backupEngine.use(app).backUp(source, (archive) => store.put(backup.archive, archive, signal), signal)
  signal.throwIfAborted()
  return details
}
