/** Starts the backups of schedules, and deletes those that are no longer kept. */
import type { Backup, BackupSchedule, Database } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { type Chore, firstDueInMs } from '../../../platform/claim.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import { perApp } from '../../../platform/per-app.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { insertBackup, now } from './commands.ts'
import { nextRun } from './cron.ts'
import { recoverableBackups, schedulesTopic } from './model.ts'
import { backupEngine, backupStore, type FileBackup } from './ports.ts'

/** Time until the next run of this process's pass, as found by the last one. */
const waits = perApp(() => ({ dueInMs: null as number | null }))

export const runSchedules: Chore = {
  name: 'run backup schedules',
  topic: schedulesTopic,
  everyMs: 60_000,
  dueInMs: (app) => waits(app).dueInMs,
  async run(app) {
    const again = await transact(app, systemCaller(nilId), {}, runOne)
    if (again) return 'again'
    const dueInMs = await firstDueInMs(app.db, 'backup_schedule', 'next_run_at', sql`next_run_at is not null`)
    waits(app).dueInMs = dueInMs === null ? null : Math.min(dueInMs, 60_000)
  },
}

/** Starts the backup of one schedule that is due. Returns false if there is none. */
async function runOne(work: Work): Promise<boolean> {
  const schedule = await row<BackupSchedule>(
    work.tx,
    sql`select * from backup_schedule where next_run_at <= app_now() order by next_run_at limit 1 for update skip locked`,
  )
  if (!schedule) return false
  const database = await row<Database>(
    work.tx,
    sql`select * from database where id = ${schedule.databaseId}::uuid and desired_state = 'RUNNING' for update`,
  )
  // A stopped database has not changed. One that failed gets a failed backup, so that its owner is told.
  if (database) await insertBackup({ ...work, caller: systemCaller(database.organizationId) }, database, 'SCHEDULE')
  await run(
    work.tx,
    sql`update backup_schedule set next_run_at = ${nextRun(schedule.cron, await now(work))} where database_id = ${schedule.databaseId}::uuid`,
  )
  return true
}

/** Marks the backups that a schedule no longer keeps, and removes archived WAL that no kept backup needs, or that exceeds its limit. */
export const pruneBackups: Chore = {
  name: 'prune backups',
  topic: 'prune backups',
  // The WAL of databases without a backup grows for as long.
  everyMs: 60_000,
  async run(app, signal) {
    await markSurplus(app)
    const databases = await rows<{ id: string }>(app.db, sql`select id from database where owns_port`)
    for (const { id } of databases) {
      if (signal.aborted) return
      await pruneWal(app, id)
    }
  },
}

/** Only backups older than the `keep` newest verified ones: those that are not verified yet do not replace older ones. */
const markSurplus = (app: App) =>
  transact(app, systemCaller(nilId), {}, async (work) => {
    const marked = await run(
      work.tx,
      sql`update backup b set deleting_at = app_now(), due_at = app_now()
          from backup_schedule s
          where s.enabled and b.database_id = s.database_id and b.deleting_at is null and b.status in ('STORED', 'VERIFIED', 'FAILED')
            and b.trigger = 'SCHEDULE' and b.lease_expires_at is null
            and not exists (select 1 from restore r where r.backup_id = b.id and r.status in ('PENDING', 'RUNNING'))
            and b.id < (select k.id from backup k where k.database_id = s.database_id and k.trigger = 'SCHEDULE' and k.status = 'VERIFIED'
                        and k.deleting_at is null order by k.id desc offset s.keep - 1 limit 1)`,
    )
    if (marked > 0) work.wake('purge backups')
  })

async function pruneWal(app: App, databaseId: string): Promise<void> {
  const engine = backupEngine.use(app)
  // Listed first: a backup that begins after this does not need these files.
  const files = await engine.listWal(databaseId)
  if (files.length === 0) return
  const busy = await row(
    app.db,
    sql`select 1 as one from backup where database_id = ${databaseId}::uuid and status in ('PENDING', 'RUNNING')
        union all select 1 from restore where source_id = ${databaseId}::uuid and status in ('PENDING', 'RUNNING')`,
  )
  if (busy) return
  const kept = await rows<Backup & { details: FileBackup }>(
    app.db,
    sql`select k.* from (${recoverableBackups([databaseId])}) k order by k.id`,
  )
  for (const [index, oldest] of [...kept, null].entries()) {
    const keptBytes = await engine.pruneWal(databaseId, files, oldest?.details ?? null)
    if (oldest === null || keptBytes <= app.settings.BACKUP_WAL_MAX_BYTES) return
    await run(app.db, sql`update backup set wal_kept = false where id = ${oldest.id}::uuid`)
    const text = 'the changes since a backup exceed BACKUP_WAL_MAX_BYTES: they are removed, and it can be restored only as it is'
    app.log.warn({ database: databaseId, backup: oldest.id, keptBytes, laterBackups: kept.length - index - 1 }, text)
  }
}

const removeAgainMs = 10 * 60_000

/** Removes the archives of deleted backups, then their rows. One that cannot be removed is tried again later, after the others. */
export const purgeBackups: Chore = {
  name: 'purge backups',
  topic: 'purge backups',
  everyMs: 60_000,
  async run(app, signal) {
    const deleted = await rows<{ id: string; archive: string }>(
      app.db,
      sql`select id, archive from backup where deleting_at is not null and due_at <= app_now()
            and (lease_expires_at is null or lease_expires_at < app_now()) order by deleting_at limit 100`,
    )
    for (const { id, archive } of deleted) {
      if (signal.aborted) return
      try {
        await backupStore.use(app).remove(archive)
      } catch (error) {
        app.log.error({ err: error, backup: id }, 'the archive of a deleted backup could not be removed and is removed later')
        await run(app.db, sql`update backup set due_at = app_now() + ${removeAgainMs} * interval '1 millisecond' where id = ${id}::uuid`)
        continue
      }
      await run(app.db, sql`delete from backup where id = ${id}::uuid`)
    }
    if (deleted.length > 0) app.wake.notify('purge projects')
    if (deleted.length === 100) return 'again'
  },
}

/** Age of what an interrupted backup left in the store before it is removed. No backup takes as long. */
const leftoverAgeMs = 24 * 3_600_000

/**
 * Removes what killed processes left behind and no next attempt will: copies of databases, and parts in a store that was away. Neither waits for
 * a place that the other one cannot reach.
 */
export const sweepLeftovers: Chore = {
  name: 'sweep leftovers of backups',
  topic: null,
  everyMs: 6 * 3_600_000,
  async run(app) {
    const swept = await Promise.allSettled([sweepCopies(app), sweepStore(app)])
    const failed = swept.find(({ status }) => status === 'rejected')
    if (failed) throw (failed as PromiseRejectedResult).reason
  },
}

const sweepCopies = (app: App): Promise<void> =>
  backupEngine.use(app).sweep(async () => {
    const held = await rows<{ id: string }>(
      app.db,
      sql`select id from backup where status = 'STORED' and lease_expires_at > app_now()
          union all select database_id from restore where status = 'RUNNING' and lease_expires_at > app_now()`,
    )
    return held.map(({ id }) => id)
  })

async function sweepStore(app: App): Promise<void> {
  const inProgress = await rows<{ archive: string }>(app.db, sql`select archive from backup where status in ('PENDING', 'RUNNING')`)
  const names = inProgress.map(({ archive }) => archive)
  await backupStore.use(app).sweep(names, leftoverAgeMs)
}
