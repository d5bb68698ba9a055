/**
 * Stores blobs as files. A file has its name only when it is complete and on the disk, so that neither a crash nor a full disk leaves a part
 * that looks whole. Names of blobs end in a UUID, which alone becomes part of a path.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, open, rename, rm, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BlobErrorCode, BlobStore } from '../../domain/resources/stored-object/ports.ts'
import { PortError } from '../../platform/errors.ts'

export type BlobDiskOptions = {
  /** Created if missing. */
  directory: string
  /** Free disk space that blobs must leave. */
  reserveBytes: number
}

const pieceBytes = 512 * 1024

export function createBlobDisk({ directory, reserveBytes }: BlobDiskOptions): BlobStore {
  /** By the last digits of the UUID, the first ones being its time. */
  const pathOf = (name: string) => {
    const id = /(?:^|\/)([0-9a-f-]{36})$/.exec(name)?.[1]
    if (!id) throw new Error(`${name} is not the name of a blob`)
    return join(directory, id.slice(-2), id)
  }
  const draftOf = (path: string) => `${path}.draft`

  const requireRoom = async (sizeBytes: number) => {
    const { bavail, bsize } = await statfs(directory)
    if (bavail * bsize < reserveBytes + sizeBytes) throw diskFull()
  }

  return {
    async write(name, content, { sizeBytes, signal }) {
      const path = pathOf(name)
      const draft = draftOf(path)
      try {
        const isNew = await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        if (isNew !== undefined) await sync(directory)
        await requireRoom(sizeBytes)
        const file = createWriteStream(draft, { flags: 'wx', mode: 0o600, flush: true, highWaterMark: pieceBytes })
        await pipeline(content, file, { signal })
        await rename(draft, path)
        await sync(dirname(path))
      } catch (error) {
        content.destroy()
        await rm(draft, { force: true })
        throw isFull(error) ? diskFull(error) : error
      }
    },
    async read(name, { start, end }, signal) {
      try {
        const file = await open(pathOf(name), 'r')
        return file.createReadStream({ start, end, highWaterMark: pieceBytes, signal })
      } catch (error) {
        if (isMissing(error)) throw new PortError<BlobErrorCode>('BLOB_MISSING', 'The bytes of the object are missing.', { cause: error })
        throw error
      }
    },
    async remove(names) {
      for (const name of names) {
        const path = pathOf(name)
        await Promise.all([rm(path, { force: true }), rm(draftOf(path), { force: true })])
      }
    },
  }
}

/** Makes the names in a folder durable. */
async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'
const isFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')

const diskFull = (cause?: unknown): PortError<BlobErrorCode> =>
  new PortError('NO_CAPACITY', 'The disk of the object storage has too little free space.', cause === undefined ? {} : { cause })
