/** Configuration files of a managed database. */
import type { DatabaseSpec } from '../../domain/resources/database/ports.ts'

export const superuser = 'quayside'

/** Connections beyond those of the role: those of Quayside, and three that PostgreSQL reserves. */
const reservedConnections = 8

/** Small, so that an idle database needs little memory: no I/O workers, no launcher for subscriptions, 16 MB of shared buffers. */
export const serverSettings = ({
  settings,
  maxConnections,
}: Pick<DatabaseSpec, 'settings' | 'maxConnections'>): Record<string, string> => ({
  listen_addresses: '127.0.0.1',
  max_connections: String(maxConnections + reservedConnections),
  shared_buffers: '16MB',
  huge_pages: 'off',
  io_method: 'sync',
  max_worker_processes: '4',
  max_logical_replication_workers: '0',
  max_wal_senders: '6',
  max_replication_slots: '6',
  max_wal_size: '128MB',
  min_wal_size: '32MB',
  wal_level: 'replica',
  archive_mode: 'on',
  archive_command: archiveCommand,
  archive_timeout: '60s',
  shared_preload_libraries: 'pg_stat_statements',
  // Passwords are set by utility statements.
  'pg_stat_statements.track_utility': 'off',
  ...settings,
})

/**
 * Copies a finished segment of WAL into the folder `wal` beside the data directory, in which the command runs. A copy becomes visible under its
 * name only when it is complete. A segment that was copied before is not copied again, and never replaced by another.
 */
const archiveCommand =
  'if test -f "../wal/%f"; then cmp -s "%p" "../wal/%f"; else cp "%p" "../wal/%f.part" && sync "../wal/%f.part" && mv "../wal/%f.part" "../wal/%f"; fi'

/** Only Quayside connects over the socket, as superuser. Over TCP, only the role connects, to its own database. */
export const accessRules = ({ databaseName, username }: Pick<DatabaseSpec, 'databaseName' | 'username'>): string =>
  [
    `local all ${superuser} scram-sha-256`,
    `local replication ${superuser} scram-sha-256`,
    `host "${databaseName}" "${username}" 127.0.0.1/32 scram-sha-256`,
    '',
  ].join('\n')
