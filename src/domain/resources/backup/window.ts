/** The times to which databases can be restored. */
import type { Backup, Database } from '../../../generated/prisma/client.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { recoverableBackups } from './model.ts'
import { backupEngine } from './ports.ts'

/** `backups` are those that a restore can begin with, newest first. */
export type RecoveryWindow = { from: Date; until: Date; backups: Backup[] }

/** Null for databases without a stored backup. */
export async function recoveryWindows(app: App, tx: Tx, databaseIds: readonly string[]): Promise<(RecoveryWindow | null)[]> {
  const backups = await rows<Backup>(tx, sql`select * from (${recoverableBackups(databaseIds)}) b order by b.id desc`)
  const databases = await rows<Pick<Database, 'id' | 'status'> & { now: Date }>(
    tx,
    sql`select id, status, app_now() as now from database where id = any(${databaseIds}::uuid[])`,
  )
  return Promise.all(
    databaseIds.map(async (id) => {
      const own = backups.filter(({ databaseId }) => databaseId === id)
      const database = databases.find((one) => one.id === id)
      const from = own.at(-1)?.consistentAt
      if (!from || !database) return null
      const until = database.status === 'RUNNING' ? database.now : await backupEngine.use(app).recordedUntil(id)
      return { from, until: until && until > from ? until : from, backups: own }
    }),
  )
}
