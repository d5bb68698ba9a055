/** Chooses how a database is backed up: as files, if it has a server of its own, else as a dump. */
import type { BackupEngine, BackupErrorCode, FileBackup, StoredBackup } from '../../domain/resources/backup/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { createManagedBackups, type ManagedBackupOptions } from './managed-backup.ts'
import { createServerBackups, type ServerBackupOptions } from './server-backup.ts'

export type BackupEngineOptions = ManagedBackupOptions & { server: ServerBackupOptions }

export function createBackupEngine({ server, ...local }: BackupEngineOptions): BackupEngine {
  const files = createManagedBackups(local)
  const dumps = createServerBackups(server)
  return {
    ...files,
    backUp: (source, store, signal) => (source.ownsPort ? files : dumps).backUp(source, store, signal),
    verify: (id, backup, signal) => (isOfFiles(backup) ? files.verify(id, backup, signal) : dumps.verify(id, backup, signal)),
    async restore(database, backup, target, onStep, signal) {
      if (isOfFiles(backup) !== database.ownsPort) throw otherPlace()
      await (isOfFiles(backup)
        ? files.restore(database, backup, target, onStep, signal)
        : dumps.restore(database, backup, target, onStep, signal))
    },
    async sweep(inUse) {
      await files.sweep(inUse)
      await dumps.sweep(inUse)
    },
  }
}

const isOfFiles = (backup: StoredBackup): backup is StoredBackup<FileBackup> => 'startLsn' in backup.details

const otherPlace = (): PortError<BackupErrorCode> =>
  new PortError('NOT_SUPPORTED', 'The backup is of a database on a server. To restore it, set MANAGED_POSTGRES_URL to such a server.')
