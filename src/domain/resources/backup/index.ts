/**
 * Backups of databases: taken on demand or by schedule, verified by restoring them, and restored into new databases, up to their end or to a
 * later time.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { check, clearedReference, stamped } from '../../../platform/db/constraints.ts'
import { row, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'
import { jobSources } from '../../access/job/index.ts'
import { operationTypes } from '../../access/operation/index.ts'
import { keptProjects } from '../../apps/project/index.ts'
import { deletionHolds, startHolds } from '../resource/index.ts'
import { createBackup, deleteBackup, setBackupSchedule } from './commands.ts'
import { backupErrors } from './errors.ts'
import { allBackupEvents } from './events.ts'
import { backupJobs } from './job.ts'
import { backupQueue } from './jobs.ts'
import { backupEngine, backupStore } from './ports.ts'
import { backupListing, countBackups, findBackup, listBackups } from './queries.ts'
import { reactions } from './reactions.ts'
import { restoreBackup, restoreDatabase, restoreOperations } from './restore.ts'
import { restoreQueue } from './restore-queue.ts'
import { pruneBackups, purgeBackups, runSchedules, sweepLeftovers } from './schedule.ts'
import { verificationQueue } from './verification.ts'

export { backupEvents } from './events.ts'
export { backupEngine, backupStore } from './ports.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Backup: 'bkp'
  }
}

export const backup = defineConcept({
  name: 'backup',
  idPrefixes: { Backup: 'bkp' },
  nodes: [backupListing],
  commands: [createBackup, deleteBackup, setBackupSchedule, restoreBackup, restoreDatabase],
  queries: [findBackup, listBackups, countBackups],
  events: allBackupEvents,
  errors: [backupErrors],
  reactions,
  queues: [backupQueue, verificationQueue, restoreQueue],
  chores: [runSchedules, pruneBackups, purgeBackups, sweepLeftovers],
  ports: [backupEngine, backupStore],
  extensions: [
    jobSources.with(backupJobs),
    ...restoreOperations.map((type) => operationTypes.with(type)),
    keptProjects.with(sql`exists (select 1 from backup b where b.project_id = p.id)`),
    deletionHolds.with(reasonToKeep),
    startHolds.with(sql`exists (select 1 from restore r where r.database_id = t.id and r.status <> 'COMPLETED')`),
  ],
  constraints: [
    ...stamped('backup', 'backup_schedule', 'restore'),
    clearedReference('backup', 'environment_id', 'environment'),
    clearedReference('backup', 'database_id', 'database'),
    clearedReference('restore', 'source_id', 'database'),
    check(
      'backup',
      'stored',
      "status NOT IN ('STORED', 'VERIFIED') OR (details IS NOT NULL AND checksum IS NOT NULL AND consistent_at IS NOT NULL)",
    ),
    check('backup_schedule', 'keep', 'keep BETWEEN 1 AND 100'),
    check('backup_schedule', 'next_run_at', '(next_run_at IS NOT NULL) <= enabled'),
  ],
})

async function reasonToKeep(work: Work, databaseId: string): Promise<string | null> {
  const found = await row<{ reason: string }>(
    work.tx,
    sql`select 'A backup of the database is in progress. Retry when it has ended.' as reason
        from backup where database_id = ${databaseId}::uuid and status in ('PENDING', 'RUNNING') and deleting_at is null
        union all
        select 'The database is being restored. Retry when that has ended.' from restore
        where (database_id = ${databaseId}::uuid or source_id = ${databaseId}::uuid) and status in ('PENDING', 'RUNNING') limit 1`,
  )
  return found?.reason ?? null
}
