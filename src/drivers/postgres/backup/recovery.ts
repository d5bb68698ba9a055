/**
 * Recovery: turns the extracted files of a base backup into a cluster that accepts connections, with exactly the content at the target. The
 * server runs with the lowest priority, without TCP, and archives nothing.
 */
import { lstat, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PortError } from '../../../platform/errors.ts'
import type { Account } from '../account.ts'
import { type Cluster, startCluster, stopCluster } from '../cluster.ts'
import { run } from '../program.ts'
import { damaged } from './archive.ts'

export type RecoveryTarget =
  /** The end of the backup, whose WAL is part of its archive. */
  | { lsn: string }
  /** A later time, with the WAL from one of these directories. */
  | { time: string; wal: readonly string[] }
  /** The end of the WAL in these directories. */
  | { wal: readonly string[] }

const settings: Record<string, string> = {
  listen_addresses: '',
  max_connections: '10',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  // Only a standby that serves queries needs as many connections as the original.
  hot_standby: 'off',
  archive_mode: 'off',
  // Subscriptions and schedules of the original must not run in a copy.
  max_logical_replication_workers: '0',
  shared_preload_libraries: '',
  autovacuum: 'off',
  event_triggers: 'off',
  recovery_target_timeline: 'current',
  recovery_target_action: 'promote',
}

const onlyOurselves = 'local all all trust\n'

/** Recovers the cluster, whose data directory contains the extracted files, and leaves its server running. Throws PortError WAL_MISSING. */
export async function recoverCluster(cluster: Cluster, target: RecoveryTarget, signal: AbortSignal): Promise<void> {
  const { data, log } = cluster
  // Settings of the original, which would take precedence.
  await writeFile(join(data, 'postgresql.auto.conf'), '', { mode: 0o600 })
  await writeFile(join(data, 'recovery.signal'), '', { mode: 0o600 })
  await adoptFiles(cluster)
  const from = (await lstat(log).catch(() => null))?.size ?? 0
  try {
    await startCluster(withLowestPriority(cluster), {
      settings: { ...settings, ...targetSettings(target) },
      access: onlyOurselves,
      create: async () => {
        throw damaged('The archive of the backup does not contain a database.')
      },
      signal,
    })
  } catch (error) {
    const printed = (await readFile(log).catch(() => Buffer.alloc(0))).subarray(from).toString()
    if (printed.includes('recovery ended before configured recovery target was reached'))
      throw new PortError('WAL_MISSING', 'The write-ahead log ends before the requested time.')
    throw error
  }
}

/** Stops the server, so that the data directory can be moved. */
export async function stopRecovered(cluster: Cluster): Promise<void> {
  await stopCluster(cluster)
  await rm(join(cluster.data, 'postmaster.opts'), { force: true })
}

function targetSettings(target: RecoveryTarget): Record<string, string> {
  if ('lsn' in target) return { restore_command: 'false', recovery_target_lsn: target.lsn, recovery_target_inclusive: 'off' }
  const restore_command = restoreCommand(target.wal)
  // Transactions that committed at the target time itself are part of the result.
  if (!('time' in target)) return { restore_command }
  // Configuration files accept no `Z`.
  return { restore_command, recovery_target_time: target.time.replace('Z', '+00'), recovery_target_inclusive: 'on' }
}

/** Copies a file of the WAL from the first directory that has it. A missing file is not an error for the server: it ends the recovery. */
function restoreCommand(directories: readonly string[]): string {
  const paths = directories.map((directory) => `"${directory.replaceAll(/["$`\\]/g, '\\$&').replaceAll('%', '%%')}/%f"`)
  return `for source in ${paths.join(' ')}; do test -f "$source" && exec cp "$source" "%p"; done; exit 1`
}

const withLowestPriority = (cluster: Cluster): Cluster => {
  const account: Account = { ...cluster.account, command: (file, args) => cluster.account.command('nice', ['-n', '19', file, ...args]) }
  return { ...cluster, account }
}

/** The files were extracted by this process's user. The server may run as another. */
async function adoptFiles({ data, account }: Cluster): Promise<void> {
  const { uid, gid } = account.command('true', [])
  if (uid === undefined) return
  const { code, output } = await run({ ...account, command: (file, args) => ({ file, args }) }, 'chown', ['-R', `${uid}:${gid}`, data])
  if (code !== 0) throw new Error(`The files of the backup could not be given to PostgreSQL: ${output.trim()}`)
}
