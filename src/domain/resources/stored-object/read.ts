/** Reads objects and their bytes. */
import { Readable } from 'node:stream'
import type { StoredObject } from '../../../generated/prisma/client.ts'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { type ByteRange, blobStore } from './ports.ts'

export const findObject = (tx: Tx, bucketId: string, key: string): Promise<StoredObject | null> =>
  row<StoredObject>(tx, sql`select * from stored_object where bucket_id = ${bucketId}::uuid and key = ${key}`)

/** Sizes of the parts of an object, in their order. One for an object that was not uploaded in parts. */
export async function partSizes(tx: Tx, { contentId }: StoredObject): Promise<number[]> {
  const blobs = await blobsOf(tx, contentId)
  return blobs.map(({ sizeBytes }) => sizeBytes)
}

type Blob = { name: string; sizeBytes: number }

const blobsOf = (tx: Tx, contentId: string): Promise<Blob[]> =>
  rows<Blob>(tx, sql`select name, size_bytes from object_blob where content_id = ${contentId}::uuid order by position`)

/** The bytes of an object from `start` up to and including `end`. Resolves once the store answers. Throws PortError. */
export async function openObject(app: App, { contentId }: StoredObject, range: ByteRange, signal: AbortSignal): Promise<Readable> {
  const pieces = piecesOf(await blobsOf(app.db, contentId), range)
  const [first, ...others] = pieces
  if (!first) return Readable.from([])
  const store = blobStore.use(app)
  const opened = await store.read(first.name, first.range, signal)
  if (others.length === 0) return opened
  return Readable.from(
    (async function* () {
      yield* opened
      for (const { name, range: part } of others) yield* await store.read(name, part, signal)
    })(),
    { objectMode: false },
  )
}

/** The blobs that a range covers, each with its part of it. */
function piecesOf(blobs: readonly Blob[], { start, end }: ByteRange): { name: string; range: ByteRange }[] {
  let from = 0
  const pieces: { name: string; range: ByteRange }[] = []
  for (const { name, sizeBytes } of blobs) {
    const range = { start: Math.max(start - from, 0), end: Math.min(end - from, sizeBytes - 1) }
    if (range.start <= range.end) pieces.push({ name, range })
    from += sizeBytes
  }
  return pieces
}
