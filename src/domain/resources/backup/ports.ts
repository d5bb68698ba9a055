import type { Readable } from 'node:stream'

/**
 * Codes of the errors that implementations throw as PortError. Anything else that they throw says nothing about a backup.
 * - `BACKUP_DAMAGED`: the archive is missing, incomplete or not the one that was stored.
 * - `VERIFICATION_FAILED`: the restored database is not complete or not readable.
 * - `WAL_MISSING`: the write-ahead log does not reach the requested time.
 * - `NO_CAPACITY`: the disk has too little free space.
 * - `DATABASE_UNAVAILABLE`: the database is not running, or stopped during the backup.
 * - `NOT_SUPPORTED`: this database cannot be backed up; the message says why.
 */
export type BackupErrorCode =
  | 'BACKUP_DAMAGED'
  | 'VERIFICATION_FAILED'
  | 'WAL_MISSING'
  | 'NO_CAPACITY'
  | 'DATABASE_UNAVAILABLE'
  | 'NOT_SUPPORTED'

/** Where archives of backups are stored. A name is a path of several parts, such as `db/backup.tar.zst`. */
export type BackupStore = {
  /** Stores content under a name, or nothing at all if it fails. Replaces what had the name. Throws PortError NO_CAPACITY. */
  put(name: string, content: Readable, signal: AbortSignal): Promise<void>
  /** Null if there is nothing with this name. */
  get(name: string): Promise<Readable | null>
  /** Removes what has the name, and what was left behind by interrupted calls of `put`. */
  remove(name: string): Promise<void>
  /** All names, including those of interrupted calls of `put`. */
  list(): Promise<string[]>
}
