import { z } from 'zod'
import type { BackupSchedule } from '../../../generated/prisma/client.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'

const statuses = z.enum(['PENDING', 'RUNNING', 'STORED', 'VERIFIED', 'FAILED'])

export const backupListing = defineListing({
  type: 'Backup',
  noun: 'backup',
  permission: 'view:backups',
  order: 'newest_first',
  nameColumn: 'archive',
  audited: ['databaseId', 'trigger', 'status'],
  omit: ['archive', 'original', 'details'],
  filter: { databaseId: z.string().nullish(), status: z.array(statuses).nullish() },
  ids: { databaseId: 'Database' },
  parents: ['databaseId'],
  where: ({ status }) => [sql`t.deleting_at is null`, ...(status ? [sql`t.status = any(${status}::backup_status[])`] : [])],
})

export const listBackups = listQuery(backupListing)
export const countBackups = countQuery(backupListing)
export const findBackup = findQuery(backupListing)

/** Schedules in the order of the databases. */
export async function schedulesByDatabase(tx: Tx, databaseIds: readonly string[]): Promise<(BackupSchedule | null)[]> {
  const found = await rows<BackupSchedule>(tx, sql`select * from backup_schedule where database_id = any(${databaseIds}::uuid[])`)
  return databaseIds.map((id) => found.find(({ databaseId }) => databaseId === id) ?? null)
}
