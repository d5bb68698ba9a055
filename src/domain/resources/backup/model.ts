import type { Backup, Database } from '../../../generated/prisma/client.ts'
import { type Sql, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { type BackupDetails, backupStore, type StoredBackup } from './ports.ts'

/** Wake-up topics: a backup or a restore is due. */
export const backupsTopic = 'backups'
export const restoresTopic = 'restores'
export const schedulesTopic = 'backup schedules'

/** Where the archive is in its store. */
export const archivePath = ({ id, ownsPort }: Pick<Database, 'id' | 'ownsPort'>, backupId: string) =>
  `${id}/${backupId}.${ownsPort ? 'tar.zst' : 'dump'}`

/** What a restored database gets from the original. */
export type Original = Pick<Database, 'name' | 'databaseName' | 'username' | 'maxConnections'> & { settings: Record<string, string> }

export const originalOf = ({ name, databaseName, username, maxConnections, settings }: Database): Original => ({
  name,
  databaseName,
  username,
  maxConnections,
  settings: settings as Record<string, string>,
})

/** Condition on the backup `b`: its archive is complete, and nothing was found to be wrong with it. */
const isUsable: Sql = sql`b.status in ('STORED', 'VERIFIED') and b.deleting_at is null`

/** Number of backups that are kept without a schedule, as far as the changes after them are concerned. */
export const defaultKeep = 7

/** Backups with the changes since then: a database can be restored to any time since the oldest of them. */
export const recoverableBackups = (databaseIds: readonly string[]): Sql => sql`
  select b.* from unnest(${databaseIds}::uuid[]) as d(id) left join backup_schedule s on s.database_id = d.id cross join lateral (
    select b.* from backup b where b.database_id = d.id and b.wal_kept and ${isUsable} order by b.id desc limit coalesce(s.keep, ${defaultKeep})) b`

/** A stored backup as the engine takes it. */
export const storedBackup = (app: App, { archive, original, details }: Backup): StoredBackup => ({
  original: original as Original,
  details: details as BackupDetails,
  open: () => backupStore.use(app).get(archive),
})
