/** Verifies stored backups by restoring them, one at a time. */
import type { Backup } from '../../../generated/prisma/client.ts'
import { type End, type Queue, setAsideText } from '../../../platform/claim.ts'
import { outageOf, sql } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import type { App } from '../../../platform/work.ts'
import { allBackupEvents, backupEvents } from './events.ts'
import { backupRows, claimBackups, fail, releaseBackup, renewBackup, settle } from './jobs.ts'
import { backupsTopic, storedBackup } from './model.ts'
import { type BackupErrorCode, backupEngine } from './ports.ts'

/** Delay before a verification that could not be completed, for example because of a full disk, is repeated. */
const againMs = 15 * 60_000

/** When no other backup is being verified, in any process. */
const afterOthers = `greatest(t.due_at, (select max(o.lease_expires_at) from backup o where o.status = 'STORED'))`

export const verificationQueue: Queue<Backup> = {
  name: 'backup verifications',
  emits: allBackupEvents,
  rows: backupRows,
  topic: backupsTopic,
  pollMs: 30_000,
  concurrency: 1,
  abortOnStop: true,
  claim: (app, worker, limit) => claimBackups(app, worker, limit, { due: sql`t.status = 'STORED'`, dueAt: afterOthers }),
  renew: renewBackup,
  release: releaseBackup,
  work: verify,
  setAside: (app, backup) => fail(app, backup, setAsideText),
}

async function verify(app: App, backup: Backup, signal: AbortSignal): Promise<End | void> {
  try {
    await backupEngine.use(app).verify(backup.id, storedBackup(app, backup), signal)
  } catch (error) {
    if (signal.aborted) {
      await releaseBackup(app, backup)
      return 'pending'
    }
    if (outageOf(error) === 'database') throw error
    if (isFinding(error)) return fail(app, backup, error.message)
    app.log.error({ err: error, backup: backup.id }, 'a backup could not be verified and is verified again later')
    const reason = error instanceof PortError ? error.message : 'The log of Quayside has the reason.'
    await releaseBackup(app, backup, againMs, `The backup could not be verified yet. ${reason}`)
    return 'pending'
  }
  await settle(app, backup, sql`status = 'VERIFIED', verified_at = app_now(), error = null`, backupEvents.verified)
}

const findings: readonly BackupErrorCode[] = ['BACKUP_DAMAGED', 'VERIFICATION_FAILED', 'NOT_SUPPORTED']

const isFinding = (error: unknown): error is PortError => error instanceof PortError && findings.includes(error.code as BackupErrorCode)
