import { z } from 'zod'
import type { Backup, BackupTrigger, Database } from '../../../generated/prisma/client.ts'
import { defineCommand, visible } from '../../../platform/command.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { lockDatabase, shown } from '../database/index.ts'
import { cronSchema, nextRun } from './cron.ts'
import { backupErrors } from './errors.ts'
import { archivePath, backupsTopic, defaultKeep, originalOf, schedulesTopic } from './model.ts'
import { backupStore } from './ports.ts'

/** Locks the backup within the caller's scope. Null if it does not exist or is being deleted. */
export const lockBackup = (work: Work, ids: Record<string, string>): Promise<Backup | null> =>
  row<Backup>(
    work.tx,
    sql`select b.* from backup b where b.id = ${ids.id}::uuid and ${visible(work.caller, sql`b`)} and b.deleting_at is null for update`,
  )

export const createBackup = defineCommand({
  name: 'createBackup',
  description:
    'Starts a backup of a running database and returns it with the status `PENDING`. After it is stored, it is restored once, read completely and compared with the original, and becomes `VERIFIED`. Fails with `backup_in_progress` while another backup of the database is taken.',
  permission: 'manage:backups',
  ids: { databaseId: 'Database' },
  targetType: 'Database',
  target: (work, { databaseId }) => lockDatabase(work, { id: databaseId! }),
  input: z.object({}),
  emits: [],
  async run(work, _input, database: Database) {
    if (database.status !== 'RUNNING') throw backupErrors.database_not_running({ field: 'databaseId' })
    const backup = await insertBackup(work, database, 'MANUAL')
    if (!backup) throw backupErrors.backup_in_progress({ field: 'databaseId' })
    return { backup }
  },
  audited: (_input, { backup }) => ({ backupId: encodeId('Backup', backup.id) }),
})

/** Adds a backup to the queue. Null if another one of the database is in progress. */
export async function insertBackup(work: Work, database: Database, trigger: BackupTrigger): Promise<Backup | null> {
  const id = newId()
  const { organizationId, projectId, environmentId, postgresVersion } = database
  const data = {
    id,
    organizationId,
    projectId,
    environmentId,
    databaseId: database.id,
    trigger,
    archive: backupStore.use(work.app).nameOf(archivePath(database, id)),
    postgresVersion,
    original: originalOf(database),
  }
  work.wake(backupsTopic)
  return row<Backup>(
    work.tx,
    sql`insert into backup ${newRow(data)} on conflict (database_id) where status in ('PENDING', 'RUNNING') do nothing returning *`,
  )
}

export const deleteBackup = defineCommand({
  name: 'deleteBackup',
  description:
    'Deletes a backup and its archive. The database can then be restored only to times after the end of the oldest remaining backup. Fails with `backup_in_use` while the backup is being taken or restored.',
  permission: 'delete:backups',
  ids: { id: 'Backup' },
  targetType: 'Backup',
  target: lockBackup,
  input: z.object({}),
  emits: [],
  async run(work, _input, backup: Backup) {
    const restore = await row(
      work.tx,
      sql`select 1 as one from restore where backup_id = ${backup.id}::uuid and status in ('PENDING', 'RUNNING')`,
    )
    if (backup.status === 'RUNNING' || restore) throw backupErrors.backup_in_use({ field: 'id' })
    await run(work.tx, sql`update backup set deleting_at = app_now(), due_at = app_now() where id = ${backup.id}::uuid`)
    work.wake('purge backups')
    return { deletedId: backup.id }
  },
})

export const setBackupSchedule = defineCommand({
  name: 'setBackupSchedule',
  description:
    'Sets when a database is backed up, and how many backups are kept. The oldest backups are deleted when a newer one has been verified. A time at which Quayside is not running is made up for once, when it runs again.',
  permission: 'manage:backups',
  ids: { databaseId: 'Database' },
  targetType: 'Database',
  target: (work, { databaseId }) => lockDatabase(work, { id: databaseId! }),
  input: z.object({ cron: cronSchema, enabled: z.boolean().nullish(), keep: z.number().int().min(1).max(100).nullish() }),
  emits: [],
  async run(work, { cron, enabled, keep }, database: Database) {
    const isEnabled = enabled ?? true
    const data = {
      databaseId: database.id,
      organizationId: database.organizationId,
      cron,
      enabled: isEnabled,
      keep: keep ?? defaultKeep,
      nextRunAt: isEnabled ? nextRun(cron, await now(work)) : null,
    }
    await run(
      work.tx,
      sql`insert into backup_schedule ${newRow(data)} on conflict (database_id) do update
          set cron = excluded.cron, enabled = excluded.enabled, keep = excluded.keep, next_run_at = excluded.next_run_at`,
    )
    work.wake(schedulesTopic)
    return { database: shown(database) }
  },
  audited: ({ cron, enabled, keep }) => ({ cron, enabled, keep }),
})

export const now = async (work: Pick<Work, 'tx'>): Promise<Date> => (await row<{ now: Date }>(work.tx, sql`select app_now() as now`))!.now
