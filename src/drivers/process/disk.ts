/** How much the driver may put on the disk, and the refusal when there is no room. */
import { statfs } from 'node:fs/promises'
import { PortError } from '../../platform/errors.ts'
import { isErrno } from './tree.ts'

export type Quotas = {
  /** Largest release, as the sum of its file sizes. */
  releaseBytes: number
  /** Builds and starts are refused, and a running build is ended, when DATA_DIR's disk has less than this free. */
  dataDirFreeBytes: number
  /** A service's build cache is dropped after a build that leaves it larger than this. */
  cacheBytes: number
  /** All build caches together: the ones that were not used for longest are dropped after a build that leaves them larger. */
  allCachesBytes: number
}

const watchEveryMs = 1000

export async function isRoomLeft(directory: string, quotas: Quotas): Promise<boolean> {
  const disk = await statfs(directory)
  return disk.bavail * disk.bsize >= quotas.dataDirFreeBytes
}

/** Throws PortError NO_CAPACITY when the disk is too full to begin something. */
export async function requireRoom(directory: string, quotas: Quotas): Promise<void> {
  if (!(await isRoomLeft(directory, quotas))) throw diskFull()
}

/** Aborts with NO_CAPACITY as soon as the disk runs low. Stop watching by the returned function. */
export function watchRoom(directory: string, quotas: Quotas, abort: AbortController): () => void {
  const timer = setInterval(async () => {
    const room = await isRoomLeft(directory, quotas).catch(() => true)
    if (!room) abort.abort(diskFull())
  }, watchEveryMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Passes what `work` throws on, and says NO_CAPACITY for a write that the full disk refused. */
export async function namingFullDisk<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    throw isErrno(error, 'ENOSPC', 'EDQUOT') ? diskFull(error) : error
  }
}

export function diskFull(cause?: unknown): PortError<'NO_CAPACITY'> {
  return new PortError('NO_CAPACITY', 'The disk of the data directory has too little free space.', {
    hint: 'Free space on it, or remove services and releases that are no longer needed.',
    cause,
  })
}
