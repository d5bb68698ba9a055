/** Uploads in parts. The bytes of a part count towards the bucket's size until the upload is completed, aborted or expired. */
import type { MultipartPart, MultipartUpload } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql, type Tx, violated } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { applyUsage } from '../storage/index.ts'
import { keep, type Place, release, store, type Upload } from './blob.ts'
import { type Checksum, type ChecksumAlgorithm, type ChecksumType, canBeCombined, checksumOfParts } from './checksum.ts'
import { type Conditions, requireForWriting } from './condition.ts'
import { noSuchUpload, ObjectError } from './errors.ts'
import { etagOfParts, maxObjectBytes, maxParts, minPartBytes, requireKey } from './model.ts'
import { findObject } from './read.ts'
import { type Attributes, checksumOf, lockObject, replace, type Written } from './write.ts'

export type MultipartRequest = Attributes & { checksum: { algorithm: ChecksumAlgorithm; type: ChecksumType } | null }

/** Begins an upload. Returns its ID. */
export async function createMultipartUpload(app: App, place: Place, key: string, request: MultipartRequest): Promise<string> {
  requireKey(key)
  const { headers, metadata, checksum } = request
  if (checksum?.type === 'FULL_OBJECT' && !canBeCombined(checksum.algorithm))
    throw new ObjectError('InvalidRequest', `The checksum type FULL_OBJECT is not available for ${checksum.algorithm}.`)
  if (checksum?.type === 'COMPOSITE' && checksum.algorithm === 'CRC64NVME')
    throw new ObjectError('InvalidRequest', 'The checksum type COMPOSITE is not available for CRC64NVME.')
  const id = newId()
  await app.db.transaction(async (tx) => {
    // Throws if the bucket was deleted meanwhile.
    await applyUsage({ app, tx }, place, { bytes: 0, objects: 0 })
    await run(
      tx,
      sql`insert into multipart_upload (id, organization_id, bucket_id, key, checksum_algorithm, checksum_type, headers, metadata)
          values (${id}::uuid, ${place.organizationId}::uuid, ${place.id}::uuid, ${key}, ${checksum?.algorithm ?? null}, ${checksum?.type ?? null},
                  ${JSON.stringify(headers)}::json, ${JSON.stringify(metadata)}::json)`,
    )
  })
  return id
}

/** The upload of a key. Throws ObjectError `NoSuchUpload`. */
export async function findUpload(tx: Tx, place: Place, key: string, id: string): Promise<MultipartUpload> {
  const found = await row<MultipartUpload>(tx, sql`select * from multipart_upload where ${ofUpload(place, key, id)}`)
  if (!found) throw noSuchUpload()
  return found
}

const ofUpload = (place: Place, key: string, id: string) => sql`id = ${id}::uuid and bucket_id = ${place.id}::uuid and key = ${key}`

/** Stores a part, in place of the one with the same number. */
export async function putPart(
  app: App,
  place: Place,
  upload: MultipartUpload,
  number: number,
  content: Upload,
): Promise<Pick<MultipartPart, 'etag' | 'lastModified'> & { checksum: Checksum | null }> {
  const algorithm = upload.checksumAlgorithm as ChecksumAlgorithm | null
  const { checksum } = content
  if (checksum && checksum.expected() !== null && checksum.algorithm !== algorithm && algorithm !== null)
    throw new ObjectError('InvalidRequest', `The checksum of this upload is ${algorithm}.`)
  const own = checksum ?? (algorithm ? { algorithm, expected: () => null } : undefined)
  return store(app, place, upload.key, { ...content, ...(own ? { checksum: own } : {}) }, (stored) =>
    app.db
      .transaction(async (tx) => {
        // Locked as by the foreign key, so that the upload is neither completed nor aborted meanwhile.
        const [open, former] = await Promise.all([
          row(tx, sql`select 1 as one from multipart_upload where id = ${upload.id}::uuid for key share`),
          row<MultipartPart>(tx, sql`select * from multipart_part where upload_id = ${upload.id}::uuid and number = ${number} for update`),
        ])
        if (!open) throw noSuchUpload()
        await keep(tx, stored.contentId, [stored.blobId])
        if (former) await release(tx, [former.contentId])
        const part = await row<{ lastModified: Date }>(
          tx,
          sql`insert into multipart_part as p (upload_id, number, content_id, size_bytes, etag, checksum)
              values (${upload.id}::uuid, ${number}, ${stored.contentId}::uuid, ${stored.sizeBytes}, ${stored.md5}, ${stored.checksum?.value ?? null})
              on conflict (upload_id, number) do update
              set content_id = excluded.content_id, size_bytes = excluded.size_bytes, etag = excluded.etag, checksum = excluded.checksum,
                  last_modified = excluded.last_modified
              returning last_modified`,
        )
        await applyUsage({ app, tx }, place, { bytes: stored.sizeBytes - (former?.sizeBytes ?? 0), objects: 0 })
        return { etag: stored.md5, checksum: stored.checksum, lastModified: part!.lastModified }
      })
      .catch((error) => {
        throw violated(error)?.kind === 'foreign_key' ? noSuchUpload() : error
      }),
  )
}

/** A part as the request to complete an upload names it. */
export type NamedPart = { number: number; etag: string; checksum: string | null }

export type Completion = {
  parts: readonly NamedPart[]
  conditions: Conditions
  /** Checksum of the whole object. */
  checksum: string | null
}

/** Makes an object of parts. Parts that are not named are removed. */
export async function completeMultipartUpload(app: App, place: Place, key: string, id: string, request: Completion): Promise<Written> {
  const { parts: named } = request
  requireOrder(named)
  return app.db.transaction(async (tx) => {
    const former = await lockObject(tx, place, key)
    const upload = await row<MultipartUpload>(tx, sql`select * from multipart_upload where ${ofUpload(place, key, id)} for update`)
    // A client that lost the response repeats the request.
    if (!upload) return completedBefore(tx, place, key, named)
    requireForWriting(request.conditions, former)
    const stored = await rows<MultipartPart & { blobId: string }>(
      tx,
      sql`select p.*, b.id as blob_id from multipart_part p join object_blob b on b.content_id = p.content_id where p.upload_id = ${id}::uuid`,
    )
    const byNumber = new Map(stored.map((part) => [part.number, part]))
    const parts = named.map((part) => requirePart(part, byNumber.get(part.number)))
    const sizeBytes = requireSizes(parts)
    const contentId = newId()
    const used = new Set(parts.map(({ number }) => number))
    await run(tx, sql`delete from multipart_part where upload_id = ${id}::uuid`)
    await run(tx, sql`delete from multipart_upload where id = ${id}::uuid`)
    await keep(
      tx,
      contentId,
      parts.map(({ blobId }) => blobId),
    )
    await release(
      tx,
      stored.filter(({ number }) => !used.has(number)).map((part) => part.contentId),
    )
    return replace({ app, tx }, place, key, former, {
      contentId,
      sizeBytes,
      etag: etagOfParts(parts.map(({ etag }) => etag)),
      checksum: await requireChecksum(upload, parts, request.checksum),
      headers: upload.headers as Record<string, string>,
      metadata: upload.metadata as Record<string, string>,
      freedBytes: stored.reduce((sum, part) => sum + part.sizeBytes, 0),
    })
  })
}

function requireOrder(parts: readonly NamedPart[]): void {
  if (parts.length === 0 || parts.length > maxParts) throw new ObjectError('InvalidRequest', `An upload has 1 to ${maxParts} parts.`)
  if (parts.some(({ number }, at) => at > 0 && number <= parts[at - 1]!.number))
    throw new ObjectError('InvalidPartOrder', 'The parts must be listed in ascending order of their numbers.')
}

function requirePart<Part extends MultipartPart>(named: NamedPart, stored: Part | undefined): Part {
  if (!stored || stored.etag !== named.etag || (named.checksum !== null && stored.checksum !== named.checksum))
    throw new ObjectError('InvalidPart', `The part ${named.number} does not exist, or its ETag or checksum is another one.`)
  return stored
}

function requireSizes(parts: readonly MultipartPart[]): number {
  const small = parts.slice(0, -1).find(({ sizeBytes }) => sizeBytes < minPartBytes)
  if (small)
    throw new ObjectError('EntityTooSmall', `The part ${small.number} is smaller than ${minPartBytes} bytes. Only the last one may be.`)
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0)
  if (sizeBytes > maxObjectBytes) throw new ObjectError('EntityTooLarge', `The object would exceed ${maxObjectBytes} bytes.`)
  return sizeBytes
}

async function requireChecksum(
  upload: MultipartUpload,
  parts: readonly MultipartPart[],
  expected: string | null,
): Promise<Checksum | null> {
  const [algorithm, type] = [upload.checksumAlgorithm as ChecksumAlgorithm | null, upload.checksumType as ChecksumType | null]
  if (!algorithm || !type) return null
  const value = await checksumOfParts(
    algorithm,
    type,
    parts.map((part) => ({ value: part.checksum!, sizeBytes: part.sizeBytes })),
  )
  if (expected !== null && expected !== value && expected !== value.replace(/-\d+$/, ''))
    throw new ObjectError('BadDigest', `The ${algorithm} checksum of the request is not that of the object.`)
  return { algorithm, type, value }
}

async function completedBefore(tx: Tx, place: Place, key: string, parts: readonly NamedPart[]): Promise<Written> {
  const found = await findObject(tx, place.id, key)
  if (!found || found.etag !== etagOfParts(parts.map(({ etag }) => etag))) throw noSuchUpload()
  return { ...found, checksum: checksumOf(found) }
}

/** Removes an upload and its parts. Throws ObjectError `NoSuchUpload`. */
export const abortMultipartUpload = (app: App, place: Omit<Place, 'name'>, id: string): Promise<void> =>
  app.db.transaction((tx) => removeUpload({ app, tx }, place, id))

/** The same in a transaction. */
export async function removeUpload({ app, tx }: { app: App; tx: Tx }, place: Omit<Place, 'name'>, id: string): Promise<void> {
  const found = await row(
    tx,
    sql`select 1 as one from multipart_upload where id = ${id}::uuid and bucket_id = ${place.id}::uuid for update`,
  )
  if (!found) throw noSuchUpload()
  const parts = await rows<MultipartPart>(tx, sql`delete from multipart_part where upload_id = ${id}::uuid returning *`)
  await run(tx, sql`delete from multipart_upload where id = ${id}::uuid`)
  await release(
    tx,
    parts.map(({ contentId }) => contentId),
    0,
  )
  const bytes = parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (bytes > 0) await applyUsage({ app, tx }, place, { bytes: -bytes, objects: 0 })
}

/** Parts of an upload by their numbers. */
export const listParts = (tx: Tx, uploadId: string, after: number, limit: number): Promise<MultipartPart[]> =>
  rows<MultipartPart>(
    tx,
    sql`select * from multipart_part where upload_id = ${uploadId}::uuid and number > ${after} order by number limit ${limit}`,
  )

/** Uploads in progress by key and ID. `after` is the last upload of the page before; without an ID, all of its key are left out. */
export const listUploads = (
  tx: Tx,
  bucketId: string,
  request: { prefix: string; after: { key: string; id: string | null }; limit: number },
): Promise<MultipartUpload[]> =>
  rows<MultipartUpload>(
    tx,
    sql`select * from multipart_upload
        where bucket_id = ${bucketId}::uuid and starts_with(key, ${request.prefix})
          and (key > ${request.after.key} or (key = ${request.after.key} and id > ${request.after.id}::uuid))
        order by key, id limit ${request.limit}`,
  )
