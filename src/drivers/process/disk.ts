/** Limits on disk usage, and the error when they are exceeded. */
import { statfs } from 'node:fs/promises'
import { PortError } from '../../platform/errors.ts'
import { isErrno } from './tree.ts'

export type Quotas = {
  /** Maximum size of a release, as the sum of its file sizes. */
  releaseBytes: number
  /** When the disk of DATA_DIR has less free space than this, builds and starts are refused and running builds are killed. */
  dataDirFreeBytes: number
  /** A build cache that is larger than this after a build is deleted. */
  cacheBytes: number
  /** Maximum size of all build caches together. Beyond it, the least recently used ones are deleted after a build. */
  allCachesBytes: number
}

const watchEveryMs = 1000

export async function isRoomLeft(directory: string, quotas: Quotas): Promise<boolean> {
  const disk = await statfs(directory)
  return disk.bavail * disk.bsize >= quotas.dataDirFreeBytes
}

/** Throws PortError NO_CAPACITY if the disk is too full. */
export async function requireRoom(directory: string, quotas: Quotas): Promise<void> {
  if (!(await isRoomLeft(directory, quotas))) throw diskFull()
}

/** Aborts with NO_CAPACITY when free disk space runs low. Call the returned function to stop watching. */
export function watchRoom(directory: string, quotas: Quotas, abort: AbortController): () => void {
  const timer = setInterval(async () => {
    const room = await isRoomLeft(directory, quotas).catch(() => true)
    if (!room) abort.abort(diskFull())
  }, watchEveryMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Rethrows errors of `work`; a write that failed because the disk is full becomes NO_CAPACITY. */
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
