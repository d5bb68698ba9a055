/** Commands that restore a backup, up to its end or to a later time, into a new database. The work is done by restore-queue.ts. */
import { z } from 'zod'
import type { Backup, Database } from '../../../generated/prisma/client.ts'
import { defineCommand, demand } from '../../../platform/command.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { DomainError, errors, PortError } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { App, Work } from '../../../platform/work.ts'
import { type OperationType, startOperation } from '../../access/operation/index.ts'
import { placeFor } from '../../apps/environment/index.ts'
import {
  databaseCreated,
  databaseCreation,
  insertDatabase,
  lockDatabase,
  type NewDatabase,
  prepareDatabase,
  shown,
} from '../database/index.ts'
import { lockBackup } from './commands.ts'
import { backupErrors } from './errors.ts'
import { type Original, restoresTopic, storedBackup } from './model.ts'
import { type BackupDetails, backupEngine, isOfFiles, restoreSteps } from './ports.ts'
import { recoveryWindows } from './window.ts'

type Prepared = Pick<NewDatabase, 'place'>

/** How long a command checks the archive. A longer check is left to the operation. */
const checkWithinMs = 5_000

export const restoreBackup = defineCommand({
  name: 'restoreBackup',
  description:
    'Restores a backup into a new database, in the environment of the original. The new database has its own address and credentials, and the settings of the original. Fails with `backup_damaged`, before anything is created, if the archive is missing or damaged, and with `unavailable` if the object storage of the backups cannot be used.',
  permission: 'manage:backups',
  ids: { backupId: 'Backup' },
  targetType: 'Backup',
  target: (work, { backupId }) => lockBackup(work, { id: backupId! }),
  input: z.object({ backupId: z.string(), name: nameSchema.nullish() }),
  emits: [databaseCreated],
  async prepare({ app }, { backupId }) {
    const backup = await row<Backup>(app.db, sql`select * from backup where id = ${backupId}::uuid and details is not null`)
    // The server of a dump makes the new database, as it does any other.
    const origin = backup && !isOfFiles(backup.details as BackupDetails) ? 'new' : 'restored'
    return { problem: backup && (await problemOf(app, backup)), ...(await prepareDatabase(app, origin)) }
  },
  run(work, { name }, backup: Backup, { problem, ...prepared }: Prepared & { problem: DomainError | null }) {
    if (backup.status !== 'STORED' && backup.status !== 'VERIFIED') throw backupErrors.backup_not_usable({ field: 'backupId' })
    if (problem) throw problem
    return startRestore(work, 'restoreBackup', backup, { name, source: null, at: null, prepared })
  },
  audited: (_input, { database }) => ({ databaseId: encodeId('Database', database.id) }),
})

/** Why the archive of a backup cannot be restored. Null if nothing is wrong with it, or if the check takes too long. */
async function problemOf(app: App, backup: Backup): Promise<DomainError | null> {
  const deadline = AbortSignal.timeout(checkWithinMs)
  try {
    await backupEngine.use(app).check(storedBackup(app, backup), deadline)
    return null
  } catch (error) {
    if (deadline.aborted) return null
    if (!(error instanceof PortError)) throw error
    return error.code === 'BACKUP_DAMAGED'
      ? backupErrors.backup_damaged({ field: 'backupId', text: error.message })
      : errors.unavailable({ text: error.message, cause: error })
  }
}

export const restoreDatabase = defineCommand({
  name: 'restoreDatabase',
  description:
    'Restores a database to its state at a point in time, into a new database in the same environment. The time must be between `recoverableFrom` and `recoverableUntil`; otherwise, the mutation fails with `time_not_recoverable`. The original is not changed.',
  permission: 'manage:backups',
  ids: { databaseId: 'Database' },
  targetType: 'Database',
  target: (work, { databaseId }) => lockDatabase(work, { id: databaseId! }),
  input: z.object({ at: z.date(), name: nameSchema.nullish() }),
  emits: [databaseCreated],
  prepare: ({ app }) => prepareDatabase(app, 'restored'),
  async run(work, { at, name }, source: Database, prepared: Prepared) {
    const [window] = await recoveryWindows(work.app, work.tx, [source.id])
    if (!window) {
      throw backupErrors.time_not_recoverable({
        field: 'at',
        text: source.ownsPort
          ? 'The database has no stored backup whose later changes are kept, so it cannot be restored to a point in time.'
          : 'The database is on a server whose changes are not archived. Restore one of its backups instead.',
      })
    }
    const { from, until, backups } = window
    const backup = backups.find(({ consistentAt }) => consistentAt && consistentAt <= at)
    if (!backup || at > until) {
      throw backupErrors.time_not_recoverable({
        field: 'at',
        text: `at: must be between ${from.toISOString()} and ${until.toISOString()}`,
        details: { recoverableFrom: from.toISOString(), recoverableUntil: until.toISOString() },
      })
    }
    return startRestore(work, 'restoreDatabase', backup, { name, source, at, prepared })
  },
  audited: ({ at }, { database }) => ({ at: at.toISOString(), databaseId: encodeId('Database', database.id) }),
})

type RestoreRequest = { name: string | null | undefined; source: Database | null; at: Date | null; prepared: Prepared }

/** Adds the new database, which is not started before the restore is complete, and the operation that reports the progress. */
async function startRestore(
  work: Work,
  type: 'restoreBackup' | 'restoreDatabase',
  backup: Backup,
  { name, source, at, prepared }: RestoreRequest,
) {
  demand(work.caller, 'manage:databases')
  const original = backup.original as Original
  const environment = await placeFor(work, { projectId: backup.projectId, environmentId: source?.environmentId ?? backup.environmentId })
  const database = await insertDatabase(work, {
    environment,
    name: name ?? `${original.name.slice(0, 89)} (restored)`,
    maxConnections: original.maxConnections,
    settings: original.settings,
    ...prepared,
  })
  const { organizationId, projectId, id: databaseId } = database
  const operation = await startOperation(work, { type, projectId, input: { databaseId }, totalSteps: restoreSteps + 1 })
  const restore = {
    databaseId,
    organizationId,
    projectId,
    backupId: backup.id,
    operationId: operation.id,
    sourceId: source?.id ?? null,
    targetTime: at,
  }
  await run(work.tx, sql`insert into restore ${newRow(restore)}`)
  await publish(work, databaseCreated, databaseCreation(database))
  work.wake(restoresTopic)
  return { database: shown(database), operation }
}

/** Delay between two looks at the progress. */
const lookAgainMs = 500

type Progress = { status: string; stepsCompleted: number; isRunning: boolean }

/** Operations that follow a restore until the new database runs. */
export const restoreOperations: OperationType[] = ['restoreBackup', 'restoreDatabase'].map((type) => ({
  type,
  async run(work, operation) {
    const { databaseId } = operation.input as { databaseId: string }
    const found = await row<Progress>(
      work.tx,
      sql`select r.status, r.steps_completed, d.status = 'RUNNING' as is_running
          from restore r join database d on d.id = r.database_id where r.database_id = ${databaseId}::uuid`,
    )
    if (!found) throw new DomainError('not_found', 'not_found', 'The new database was deleted.')
    const isDone = found.status === 'COMPLETED' && found.isRunning
    if (isDone) await run(work.tx, sql`delete from restore where database_id = ${databaseId}::uuid`)
    return {
      stepsCompleted: found.stepsCompleted + (isDone ? 1 : 0),
      totalSteps: restoreSteps + 1,
      progress: null,
      next: isDone ? 'done' : lookAgainMs,
    }
  },
}))
