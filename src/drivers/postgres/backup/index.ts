/**
 * Backups of clusters: taken while the server runs, restored into a new data directory, and verified by restoring them. Where archives are
 * stored, and when, is not known here: they pass as streams.
 */
import { mkdir, rm, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FileBackup, StoredBackup } from '../../../domain/resources/backup/ports.ts'
import { type Connection, openConnection } from '../../../platform/db/connection.ts'
import { PortError } from '../../../platform/errors.ts'
import type { Cluster } from '../cluster.ts'
import { type ArchiveDigest, damaged } from './archive.ts'
import type { BaseBackupRequest } from './base-backup.ts'
import type { Task } from './child.ts'
import { type RunningTask, startTask } from './low-priority.ts'
import { type RecoveryTarget, recoverCluster, stopRecovered } from './recovery.ts'
import { type Verification, verifyDatabase } from './verify.ts'

export type { RecoveryTarget } from './recovery.ts'
export type { Verification } from './verify.ts'

/** Takes a backup and passes its archive to `store`. The stream fails if the backup does. */
export const takeBackup = (
  request: BaseBackupRequest,
  store: (archive: Readable) => Promise<void>,
  signal: AbortSignal,
): Promise<FileBackup> => storeOutput((stopping) => startTask<FileBackup>({ name: 'back up', ...request }, stopping), store, signal)

/** Passes the output of a task to `store`, and returns its result. If either fails, so does the other. */
export async function storeOutput<Result>(
  start: (signal: AbortSignal) => Pick<RunningTask<Result>, 'output' | 'result'>,
  store: (archive: Readable) => Promise<void>,
  signal: AbortSignal,
): Promise<Result> {
  const stopping = new AbortController()
  const { output, result } = start(AbortSignal.any([signal, stopping.signal]))
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

/** Throws PortError BACKUP_DAMAGED if the archive is missing or not the one that was written. */
export async function checkArchive(backup: Pick<StoredBackup, 'details' | 'open'>, signal: AbortSignal): Promise<void> {
  const { details } = backup
  const found = await feed<ArchiveDigest>(backup, { name: 'check' }, signal)
  if (found.sha256 === details.sha256) return
  const change =
    found.sizeBytes === details.sizeBytes ? 'Its content has changed.' : `It has ${found.sizeBytes} bytes instead of ${details.sizeBytes}.`
  throw damaged(`The archive of the backup is damaged. ${change}`)
}

export type Recovery = {
  backup: Pick<StoredBackup<FileBackup>, 'details' | 'open'>
  /** Where to restore. Its data directory is emptied first. */
  cluster: Cluster
  target: RecoveryTarget
  /** Free disk space that the restore must leave. */
  reserveBytes: number
  /** Called when the archive has been checked, before anything is created. */
  onChecked?: () => Promise<void>
}

/**
 * Restores a backup up to the target, lets `use` work with the running server, and leaves the server stopped. If it fails, nothing is left.
 * Throws PortError BACKUP_DAMAGED before anything is created.
 */
export async function restoreBackup<Result>(recovery: Recovery, signal: AbortSignal, use: () => Promise<Result>): Promise<Result> {
  const { backup, cluster, target, reserveBytes, onChecked } = recovery
  await checkArchive(backup, signal)
  await onChecked?.()
  try {
    await demandRoom(cluster, backup.details.contentBytes + reserveBytes)
    await discard(cluster)
    await mkdir(cluster.data, { mode: 0o700 })
    await feed(backup, { name: 'extract', directory: cluster.data }, signal)
    await recoverCluster(cluster, target, signal)
    const result = await use()
    await stopRecovered(cluster)
    return result
  } catch (error) {
    await discard(cluster)
    throw error
  }
}

/**
 * Restores a backup, reads it completely, compares it with the original, and removes it. `url` connects to the restored database as superuser.
 * Throws PortError BACKUP_DAMAGED or VERIFICATION_FAILED if the backup is not usable, and other errors if it could not be verified.
 */
export async function verifyBackup(recovery: Omit<Recovery, 'target'>, url: string, signal: AbortSignal): Promise<Verification> {
  const { targetLsn: lsn, rowCounts } = recovery.backup.details
  try {
    return await restoreBackup({ ...recovery, target: { lsn } }, signal, () =>
      connected(url, signal, (session) => verifyDatabase(session, rowCounts)),
    )
  } finally {
    await discard(recovery.cluster)
  }
}

/** Runs `work` on a connection of its own, which an abort closes. */
export async function connected<Result>(url: string, signal: AbortSignal, work: (session: Connection) => Promise<Result>): Promise<Result> {
  signal.throwIfAborted()
  const session = await openConnection(url)
  const stop = () => void session.close()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await work(session)
  } finally {
    signal.removeEventListener('abort', stop)
    await session.close()
  }
}

/** Stops the server of a cluster that is not needed, and removes its data. */
export async function discard(cluster: Cluster): Promise<void> {
  await stopRecovered(cluster)
  for (const path of [cluster.data, cluster.draft, cluster.log]) await rm(path, { recursive: true, force: true })
}

async function demandRoom({ data }: Cluster, bytes: number): Promise<void> {
  await mkdir(dirname(data), { recursive: true, mode: 0o711 })
  const { bavail, bsize } = await statfs(dirname(data))
  if (bavail * bsize < bytes)
    throw new PortError('NO_CAPACITY', `The disk has too little free space to restore the backup, which requires ${bytes} bytes.`)
}

/** Passes the archive to a task of this program. */
const feed = <Result>(backup: Pick<StoredBackup, 'open'>, task: Task, signal: AbortSignal): Promise<Result> =>
  feedTask(backup, () => startTask<Result>(task, signal))

/** Passes the archive to a task, and returns its result. */
export async function feedTask<Result>(
  { open }: Pick<StoredBackup, 'open'>,
  start: () => Pick<RunningTask<Result>, 'input' | 'result'>,
): Promise<Result> {
  const archive = await open()
  if (archive === null) throw damaged('The archive of the backup is missing.')
  const { input, result } = start()
  const [outcome, fed] = await Promise.allSettled([result, pipeline(archive, input)])
  // A task that ends before its input explains why. An archive that cannot be read is not damaged.
  if (fed.status === 'rejected' && !endsEarly(fed.reason)) throw fed.reason
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
}

const endsEarly = (error: NodeJS.ErrnoException): boolean =>
  ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(error.code ?? '')
