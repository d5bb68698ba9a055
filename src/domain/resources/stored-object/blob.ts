/**
 * The bytes of objects. The row of a blob is written before its bytes, with a time of removal that is cleared by the transaction that uses
 * them. So whatever is interrupted, the store holds nothing without a row, and bytes that nothing uses are removed.
 */
import { createHash, type Hash } from 'node:crypto'
import { pipeline, type Readable, Transform } from 'node:stream'
import { row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import { newId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { storageErrors } from '../storage/index.ts'
import { type Checksum, type ChecksumAlgorithm, createDigest, type Digest } from './checksum.ts'
import { ObjectError } from './errors.ts'
import { blobName, purgeTopic, readersGraceMs, uploadLeaseMs } from './model.ts'
import { type BlobErrorCode, blobStore } from './ports.ts'

/** The bucket that bytes are for. */
export type Place = { id: string; organizationId: string; name: string }

/** Bytes to store, and what they must be. A failure of `body` is the failure of the upload. */
export type Upload = {
  body: Readable
  sizeBytes: number
  /** In hexadecimal. */
  md5?: string
  /** In hexadecimal. */
  sha256?: string
  /** Read at the end of the body, which it may follow. Without a value, the checksum is only computed. */
  checksum?: { algorithm: ChecksumAlgorithm; expected(): string | null }
  signal: AbortSignal
}

/** Stored bytes that nothing uses yet. */
export type Content = {
  contentId: string
  blobId: string
  sizeBytes: number
  /** In hexadecimal. */
  md5: string
  checksum: Checksum | null
}

/**
 * Stores bytes and passes them to `use`, which makes them part of something in one transaction. If the bytes are not what they must be, or
 * anything fails, nothing is stored. Throws ObjectError, PortError, or what `body` fails with.
 */
export async function store<T>(app: App, place: Place, key: string, upload: Upload, use: (content: Content) => Promise<T>): Promise<T> {
  const [blobId, contentId] = [newId(), newId()]
  const { sizeBytes, signal } = upload
  const name = blobName(place.name, key, blobId)
  try {
    const meter = await measure(upload)
    await announce(app, place, key, { blobId, contentId, name, sizeBytes })
    // The store reads the end of the pipeline, and so gets its errors.
    pipeline(upload.body, meter.stream, () => {})
    await blobStore.use(app).write(name, meter.stream, { sizeBytes, signal })
    return await use({ contentId, blobId, sizeBytes, ...(await meter.verify()) })
  } catch (error) {
    upload.body.destroy()
    await discard(app, blobId, name)
    throw error
  }
}

/**
 * Writes the row of a blob before its bytes. Throws `storage_quota_exceeded` if they cannot fit, so that they are not read in vain; whether they
 * do fit is decided when they become part of an object.
 */
async function announce(
  app: App,
  place: Place,
  key: string,
  { blobId, contentId, name, sizeBytes }: { blobId: string; contentId: string; name: string; sizeBytes: number },
): Promise<void> {
  const quota = app.settings.STORAGE_MAX_BYTES
  const inserted = await run(
    app.db,
    sql`insert into object_blob (id, organization_id, bucket_id, content_id, size_bytes, name, removable_at)
        select ${blobId}::uuid, t.organization_id, ${place.id}::uuid, ${contentId}::uuid, ${sizeBytes}, ${name},
               app_now() + ${uploadLeaseMs} * interval '1 millisecond'
        from storage_tenant t
        where t.organization_id = ${place.organizationId}::uuid and t.used_bytes + ${sizeBytes}::float8 - coalesce(
          (select o.size_bytes from stored_object o where o.bucket_id = ${place.id}::uuid and o.key = ${key}), 0) <= ${quota}::float8`,
  )
  if (inserted === 0) throw storageErrors.storage_quota_exceeded({ details: { maxBytes: quota } })
}

/** Removes bytes that nothing uses. If that fails now, it is done later. */
async function discard(app: App, blobId: string, name: string): Promise<void> {
  try {
    const marked = await run(
      app.db,
      sql`update object_blob set removable_at = app_now() where id = ${blobId}::uuid and removable_at is not null`,
    )
    if (marked === 0 && (await isKnown(app, blobId))) return
    await blobStore.use(app).remove([name])
    await run(app.db, sql`delete from object_blob where id = ${blobId}::uuid and removable_at is not null`)
  } catch {
    app.wake.notify(purgeTopic)
  }
}

/** Not if its organization was deleted during the upload. Then nobody else removes what was written since. */
const isKnown = async (app: App, blobId: string): Promise<boolean> =>
  (await row(app.db, sql`select 1 as one from object_blob where id = ${blobId}::uuid`)) !== null

/** Computes and checks what passes through `stream`. It fails as soon as more comes than was announced. */
async function measure({ sizeBytes, md5, sha256, checksum }: Upload) {
  const md5Hash = createHash('md5')
  const sha256Hash: Hash | null = sha256 === undefined ? null : createHash('sha256')
  const digest: Digest | null = checksum ? await createDigest(checksum.algorithm) : null
  let seen = 0
  const stream = new Transform({
    highWaterMark: 256 * 1024,
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length
      if (seen > sizeBytes) return done(new ObjectError('InvalidRequest', 'The body is longer than its announced length.'))
      md5Hash.update(chunk)
      sha256Hash?.update(chunk)
      digest?.update(chunk)
      done(null, chunk)
    },
    flush(done) {
      done(seen < sizeBytes ? new ObjectError('IncompleteBody', 'The body is shorter than its announced length.') : null)
    },
  })
  const verify = async (): Promise<{ md5: string; checksum: Checksum | null }> => {
    // The store must not claim to have bytes that it did not take.
    if (seen !== sizeBytes) throw new PortError<BlobErrorCode>('STORE_UNAVAILABLE', 'The store answered before it had all bytes.')
    const found = { md5: md5Hash.digest('hex'), checksum: await digest?.digest() }
    if (md5 !== undefined && md5 !== found.md5)
      throw new ObjectError('BadDigest', 'The Content-MD5 of the request is not that of the body.')
    if (sha256Hash && sha256 !== sha256Hash.digest('hex'))
      throw new ObjectError('XAmzContentSHA256Mismatch', 'The x-amz-content-sha256 of the request is not that of the body.')
    const expected = checksum?.expected() ?? null
    if (checksum && expected !== null && expected !== found.checksum)
      throw new ObjectError('BadDigest', `The ${checksum.algorithm} checksum of the request is not that of the body.`)
    return { md5: found.md5, checksum: checksum ? { algorithm: checksum.algorithm, type: 'FULL_OBJECT', value: found.checksum! } : null }
  }
  return { stream, verify }
}

/** Makes the blobs part of a content, in their order, in a transaction. */
export const keep = (tx: Tx, contentId: string, blobIds: readonly string[]): Promise<number> =>
  run(
    tx,
    sql`update object_blob b set content_id = ${contentId}::uuid, position = u.ordinal - 1, removable_at = null
        from unnest(${blobIds}::uuid[]) with ordinality as u (id, ordinal) where b.id = u.id`,
  )

/**
 * Lets contents that an object or part had be removed, unless another object has them too. The lock makes one of two transactions that give
 * up the same content see the other.
 */
export async function release(tx: Tx, contentIds: readonly string[], graceMs = readersGraceMs): Promise<void> {
  if (contentIds.length === 0) return
  await Promise.all([
    run(tx, sql`select 1 from object_blob where content_id = any(${contentIds}::uuid[]) and position = 0 order by content_id for update`),
    run(
      tx,
      sql`update object_blob b set removable_at = app_now() + ${graceMs} * interval '1 millisecond'
          where b.content_id = any(${contentIds}::uuid[]) and not exists (select 1 from stored_object o where o.content_id = b.content_id)`,
    ),
  ])
}
