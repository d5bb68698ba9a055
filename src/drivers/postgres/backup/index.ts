/**
 * Backups of clusters: taken while the server runs, restored into a new data directory, and verified by restoring them. Where archives are
 * stored, and when, is not known here: they pass as streams.
 */
import { mkdir, rm, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { openConnection } from '../../../platform/db/connection.ts'
import { PortError } from '../../../platform/errors.ts'
import type { Cluster } from '../cluster.ts'
import { type ArchiveDigest, damaged } from './archive.ts'
import type { BaseBackup, BaseBackupRequest } from './base-backup.ts'
import type { Task } from './child.ts'
import { startTask } from './low-priority.ts'
import { type RecoveryTarget, recoverCluster, stopRecovered } from './recovery.ts'
import { type Verification, verifyDatabase } from './verify.ts'

export type { BaseBackup } from './base-backup.ts'
export type { RecoveryTarget } from './recovery.ts'
export type { Verification } from './verify.ts'

/** A stored backup. `open` returns its archive, or null if the archive does not exist. It is called twice: the first time to check it. */
export type StoredBackup = { backup: BaseBackup; open(): Promise<Readable | null> }

/** Free disk space that a restore must leave. */
export type RestoreLimits = { reserveBytes: number }

/** Takes a backup and passes its archive to `store`. The stream fails if the backup does. */
export async function takeBackup(
  request: BaseBackupRequest,
  store: (archive: Readable) => Promise<unknown>,
  signal: AbortSignal,
): Promise<BaseBackup> {
  const stopping = new AbortController()
  const { output, result } = startTask<BaseBackup>({ name: 'back up', ...request }, AbortSignal.any([signal, stopping.signal]))
  result.catch(() => {})
  try {
    await store(Readable.from(outcomeOf(output, result), { objectMode: false }))
    return await result
  } catch (error) {
    stopping.abort(error)
    // The reason, when the archive ended because the task failed.
    await result
    throw error
  }
}

async function* outcomeOf(output: Readable, result: Promise<unknown>): AsyncGenerator<Buffer> {
  yield* output as AsyncIterable<Buffer>
  await result
}

/**
 * Restores a backup into the data directory of `cluster`, which is emptied first, up to the target. The server is left stopped. If it fails,
 * nothing is left. Throws PortError BACKUP_DAMAGED, before anything is created, if the archive is missing or is not the one that was written.
 */
export async function restoreBackup(
  stored: StoredBackup,
  cluster: Cluster,
  target: RecoveryTarget,
  limits: RestoreLimits,
  signal: AbortSignal,
): Promise<void> {
  try {
    await recoverFrom(stored, cluster, target, limits, signal)
    await stopRecovered(cluster)
  } catch (error) {
    await discard(cluster)
    throw error
  }
}

/**
 * Restores a backup as `cluster`, reads it completely, compares it with the original, and removes it. `url` connects to its database as
 * superuser. Throws PortError BACKUP_DAMAGED or VERIFICATION_FAILED if the backup is not usable, and other errors if it could not be verified.
 */
export async function verifyBackup(
  stored: StoredBackup,
  cluster: Cluster,
  url: string,
  limits: RestoreLimits,
  signal: AbortSignal,
): Promise<Verification> {
  try {
    await recoverFrom(stored, cluster, { lsn: stored.backup.targetLsn }, limits, signal)
    const session = await openConnection(url)
    const stop = () => void session.close()
    signal.addEventListener('abort', stop, { once: true })
    try {
      return await verifyDatabase(session, stored.backup.rowCounts)
    } finally {
      signal.removeEventListener('abort', stop)
      await session.close()
    }
  } finally {
    await discard(cluster)
  }
}

/** Stops the server of a cluster that is not needed, and removes its data. */
export async function discard(cluster: Cluster): Promise<void> {
  await stopRecovered(cluster)
  for (const path of [cluster.data, cluster.draft, cluster.log]) await rm(path, { recursive: true, force: true })
}

async function recoverFrom(
  stored: StoredBackup,
  cluster: Cluster,
  target: RecoveryTarget,
  { reserveBytes }: RestoreLimits,
  signal: AbortSignal,
): Promise<void> {
  const { backup } = stored
  const found = await feed<ArchiveDigest>(stored, { name: 'check' }, signal)
  if (found.sha256 !== backup.sha256) {
    const change =
      found.sizeBytes === backup.sizeBytes ? 'Its content has changed.' : `It has ${found.sizeBytes} bytes instead of ${backup.sizeBytes}.`
    throw damaged(`The archive of the backup is damaged. ${change}`)
  }
  await mkdir(dirname(cluster.data), { recursive: true, mode: 0o711 })
  const { bavail, bsize } = await statfs(dirname(cluster.data))
  if (bavail * bsize < backup.contentBytes + reserveBytes)
    throw new PortError(
      'NO_CAPACITY',
      `The disk has too little free space to restore the backup, which requires ${backup.contentBytes} bytes.`,
    )
  await discard(cluster)
  await mkdir(cluster.data, { mode: 0o700 })
  await feed(stored, { name: 'extract', directory: cluster.data }, signal)
  await recoverCluster(cluster, target, signal)
}

/** Passes the archive to a task. */
async function feed<Result>({ open }: StoredBackup, task: Task, signal: AbortSignal): Promise<Result> {
  const archive = await open()
  if (archive === null) throw damaged('The archive of the backup is missing.')
  const { input, result } = startTask<Result>(task, signal)
  const [outcome, fed] = await Promise.allSettled([result, pipeline(archive, input)])
  // A task that ends before its input explains why. An archive that cannot be read is not damaged.
  if (fed.status === 'rejected' && !endsEarly(fed.reason)) throw fed.reason
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
}

const endsEarly = (error: NodeJS.ErrnoException): boolean =>
  ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(error.code ?? '')
