/** Configuration files of a managed database. */
import type { DatabaseSpec } from '../../domain/resources/database/ports.ts'

export const superuser = 'quayside'
/** The role with which replicas follow their database. It can read no table. */
export const replicationRole = 'quayside_replication'

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
  // A replica that is away keeps no more WAL than this. Beyond it, it is copied anew.
  max_slot_wal_keep_size: '4GB',
  // A replica that hangs delays a stop for no longer.
  wal_sender_timeout: '10s',
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

/** Only Quayside and replicas connect over the socket. Over TCP, only the role connects, to its own database. */
export const accessRules = ({ databaseName, username }: Pick<DatabaseSpec, 'databaseName' | 'username'>): string =>
  [
    `local all ${superuser} scram-sha-256`,
    `local replication ${superuser},${replicationRole} scram-sha-256`,
    `host "${databaseName}" "${username}" 127.0.0.1/32 scram-sha-256`,
    '',
  ].join('\n')

/** A standby refuses to start with less than its primary had. */
export const leastSettings = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
]

export type Following = { socketDir: string; port: number; password: string; slot: string }

/** Settings of a replica: those of its database, none of `least` below it, and how it follows. It archives nothing. */
export function replicaSettings(
  database: Pick<DatabaseSpec, 'settings' | 'maxConnections'>,
  { socketDir, port, password, slot }: Following,
  least: Readonly<Record<string, number>>,
): Record<string, string> {
  const { 'basic_archive.archive_directory': _directory, archive_library: _library, ...settings } = serverSettings(database, '')
  const raised = Object.entries(least).map(([name, value]) => [name, String(Math.max(value, Number(settings[name] ?? 0)))])
  return {
    ...settings,
    ...Object.fromEntries(raised),
    archive_mode: 'off',
    hot_standby: 'on',
    primary_conninfo: `host=${socketDir} port=${port} user=${replicationRole} password=${password} application_name=${slot}`,
    primary_slot_name: slot,
    wal_retrieve_retry_interval: '1s',
  }
}
