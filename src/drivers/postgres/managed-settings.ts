/** Configuration files of a managed database. */
import type { DatabaseSpec } from '../../domain/resources/database/ports.ts'

export const superuser = 'quayside'

/** Connections beyond those of the role: those of Quayside, and three that PostgreSQL reserves. */
const reservedConnections = 8

/** Small, so that an idle database needs little memory: no I/O workers, no launcher for subscriptions, 16 MB of shared buffers. `wal`: archive of WAL. */
export const serverSettings = (
  { settings, maxConnections }: Pick<DatabaseSpec, 'settings' | 'maxConnections'>,
  wal: string,
): Record<string, string> => ({
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
  // Backups count rows in a snapshot with a position in the WAL, which only logical decoding determines.
  wal_level: 'logical',
  archive_mode: 'on',
  archive_library: 'basic_archive',
  'basic_archive.archive_directory': wal,
  archive_timeout: '60s',
  shared_preload_libraries: 'pg_stat_statements',
  // Passwords are set by utility statements.
  'pg_stat_statements.track_utility': 'off',
  ...settings,
})

/** Only Quayside connects over the socket, as superuser. Over TCP, only the role connects, to its own database. */
export const accessRules = ({ databaseName, username }: Pick<DatabaseSpec, 'databaseName' | 'username'>): string =>
  [
    `local all ${superuser} scram-sha-256`,
    `local replication ${superuser} scram-sha-256`,
    `host "${databaseName}" "${username}" 127.0.0.1/32 scram-sha-256`,
    '',
  ].join('\n')
