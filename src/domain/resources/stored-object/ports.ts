/** What the domain needs to store the bytes of objects. */
import type { Readable } from 'node:stream'
import { definePort } from '../../../platform/port.ts'

/**
 * Codes of the errors that implementations throw as PortError.
 * - `NO_CAPACITY`: the store has too little free space.
 * - `STORE_UNAVAILABLE`: the store cannot be reached, refuses, fails or does not answer in time.
 * - `BLOB_MISSING`: the store has no blob with this name, or not all of it.
 */
export type BlobErrorCode = 'NO_CAPACITY' | 'STORE_UNAVAILABLE' | 'BLOB_MISSING'

/** Bytes from `start` up to and including `end`. */
export type ByteRange = { start: number; end: number }

/**
 * Where the bytes of objects are stored, as immutable blobs. A name is `<bucket>/<readable part of the key>/<UUID>`, at most 1,024 bytes of
 * letters, digits and `!-_.*()/`; the UUID alone is unique.
 */
export interface BlobStore {
  /**
   * Stores a stream of `sizeBytes` under a new name. If it fails or the signal aborts, nothing that can be read is left, and the stream is
   * destroyed. Holds only parts of it in memory.
   */
  write(name: string, content: Readable, options: { sizeBytes: number; signal: AbortSignal }): Promise<void>
  /** Reads a part of a blob. The stream fails with a PortError if the store does. */
  read(name: string, range: ByteRange, signal: AbortSignal): Promise<Readable>
  /** Removes blobs and what interrupted writes left of them. Unknown names are ignored. */
  remove(names: readonly string[]): Promise<void>
}

export const blobStore = definePort<BlobStore>('blob store')
