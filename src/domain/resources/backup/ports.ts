/** What the domain needs to take, store, verify and restore backups. */
import type { Readable } from 'node:stream'
import { definePort } from '../../../platform/port.ts'
import type { DatabaseSpec } from '../database/ports.ts'

/**
 * Codes of the errors that implementations throw as PortError. Any other error says nothing about a backup.
 * - `BACKUP_DAMAGED`: the archive is missing, incomplete or not the one that was stored.
 * - `VERIFICATION_FAILED`: the restored database is not complete or not readable.
 * - `WAL_MISSING`: the write-ahead log does not reach the requested time.
 * - `NO_CAPACITY`: the disk has too little free space.
 * - `DATABASE_UNAVAILABLE`: the database is not running, or stopped during the backup.
 * - `STORE_UNAVAILABLE`: the place of the archives does not answer or refuses access.
 * - `NOT_SUPPORTED`: this database cannot be backed up or restored; the message says why.
 */
export type BackupErrorCode =
  | 'BACKUP_DAMAGED'
  | 'VERIFICATION_FAILED'
  | 'WAL_MISSING'
  | 'NO_CAPACITY'
  | 'DATABASE_UNAVAILABLE'
  | 'STORE_UNAVAILABLE'
  | 'NOT_SUPPORTED'

/** Where archives of backups are stored. Throws PortError STORE_UNAVAILABLE. Errors of a stream that it returns are of that kind too. */
export interface BackupStore {
  /** The name of a new archive, which also says where it is. `path` has several parts, such as `db/backup.tar.zst`. */
  nameOf(path: string): string
  /** Stores content under a name, or nothing at all if it fails. Replaces what had the name. Throws PortError NO_CAPACITY. */
  put(name: string, content: Readable, signal: AbortSignal): Promise<void>
  /** Null if there is nothing with this name. */
  get(name: string): Promise<Readable | null>
  /** Removes what has the name, and what was left behind by interrupted calls of `put`. */
  remove(name: string): Promise<void>
  /** Removes what interrupted calls of `put` left behind more than `ageMs` ago, except under the names in use. */
  sweep(inUse: readonly string[], ageMs: number): Promise<void>
}

export const backupStore = definePort<BackupStore>('backup store')

/** Number of rows by schema and table. */
export type RowCounts = { schema: string; table: string; rows: number }[]

/** What is known of a backup when its archive is complete. */
export type BackupDetails = {
  /** Size of the compressed archive. */
  sizeBytes: number
  /** SHA-256 of the archive in hexadecimal. */
  sha256: string
  /** Size of the data in the archive. */
  contentBytes: number
  serverVersion: string
  /** Time of the state that is restored, by the clock of the database server. */
  targetTime: string
  /** Number of rows of each table in that state. Null if transactions that were in progress prevented an exact count. */
  rowCounts: RowCounts | null
}

/** A copy of the files of a server. Positions in the write-ahead log are LSNs. */
export type FileBackup = BackupDetails & {
  timeline: number
  segmentBytes: number
  /** Start of the WAL that recovery needs. */
  startLsn: string
  /** Where recovery of this backup ends. */
  targetLsn: string
}

/** Whether the backup is a copy of files. Otherwise it is a dump, which does not go on to later times. */
export const isOfFiles = (details: BackupDetails): details is FileBackup => 'startLsn' in details

/** A running database to back up. */
export type BackupSource = Pick<
  DatabaseSpec,
  'id' | 'host' | 'port' | 'ownsPort' | 'databaseName' | 'username' | 'password' | 'superuserPassword'
>

/** A backup in the store. `open` returns null if the archive does not exist. */
export type StoredBackup<Details extends BackupDetails = BackupDetails> = {
  /** Names in the original, which the copy has until they are changed. */
  original: { databaseName: string; username: string }
  details: Details
  open(): Promise<Readable | null>
}

/** Until when a restore replays changes: the end of the backup, or a later time, with the WAL of the database that it is a backup of. */
export type RestoreTarget = { time: Date; source: BackupSource; sourceIsRunning: boolean } | null

/** Number of steps that `restore` reports. */
export const restoreSteps = 3

/** Takes, verifies and restores backups. Every action runs with low priority and may be repeated after a crash in the middle. */
export interface BackupEngine<Details extends BackupDetails = BackupDetails> {
  /** Takes a backup and passes its archive to `store`. The stream fails if the backup does. */
  backUp(source: BackupSource, store: (archive: Readable) => Promise<void>, signal: AbortSignal): Promise<Details>
  /** Throws PortError BACKUP_DAMAGED if the archive is missing or not the one that was stored. */
  check(backup: StoredBackup, signal: AbortSignal): Promise<void>
  /** Restores the backup `id` aside, reads it completely, compares it with the original, and removes it. */
  verify(id: string, backup: StoredBackup<Details>, signal: AbortSignal): Promise<void>
  /**
   * Creates the data of a new database, whose server must not be running, and leaves it stopped. If it fails, nothing is left. Calls back after
   * each step: the archive was checked, the changes were replayed, the data is in place.
   */
  restore(
    database: DatabaseSpec,
    backup: StoredBackup<Details>,
    target: RestoreTarget,
    onStep: (completed: number) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>
  /**
   * Ends and removes the copies that interrupted calls of `verify` and `restore` left behind, except those of the ids in use, which are asked
   * for when the copies are known.
   */
  sweep(inUse: () => Promise<readonly string[]>): Promise<void>
  /** Time up to which the changes of a stopped database can be restored. Null if there is no record of any. */
  recordedUntil(databaseId: string): Promise<Date | null>
  /** The files of archived WAL of a database. */
  listWal(databaseId: string): Promise<string[]>
  /**
   * Removes those of the files that the restore of a backup and its later changes do not need. With null, removes all of them. Returns the size
   * of the others.
   */
  pruneWal(
    databaseId: string,
    files: readonly string[],
    oldest: Pick<FileBackup, 'startLsn' | 'timeline' | 'segmentBytes'> | null,
  ): Promise<number>
}

export const backupEngine = definePort<BackupEngine>('backup engine')
