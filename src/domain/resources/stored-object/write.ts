/** Creates, replaces, copies and deletes objects. Each change is one transaction with the counters of the bucket. */
import type { StoredObject } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import type { App } from '../../../platform/work.ts'
import { applyUsage } from '../storage/index.ts'
import { type Content, keep, type Place, release, store, type Upload } from './blob.ts'
import type { Checksum } from './checksum.ts'
import { type Conditions, requireForCopy, requireForWriting } from './condition.ts'
import { noSuchKey } from './errors.ts'
import { requireKey } from './model.ts'

/** What is returned with an object as it was given. Names are in lower case; those of metadata without `x-amz-meta-`. */
export type Attributes = { headers: Record<string, string>; metadata: Record<string, string> }

/** What a write returns of the object. */
export type Written = Pick<StoredObject, 'etag' | 'lastModified' | 'sizeBytes'> & { checksum: Checksum | null }

/** Stores an object, or nothing. Throws ObjectError, and DomainError `storage_quota_exceeded`. */
export async function putObject(
  app: App,
  place: Place,
  key: string,
  request: { upload: Upload; attributes: Attributes; conditions: Conditions },
): Promise<Written> {
  requireKey(key)
  return store(app, place, key, request.upload, (content) =>
    app.db.transaction(async (tx) => {
      const former = await lockObject(tx, place, key)
      requireForWriting(request.conditions, former)
      await keep(tx, content.contentId, [content.blobId])
      return replace({ app, tx }, place, key, former, { ...objectOf(content), ...request.attributes })
    }),
  )
}

const objectOf = ({ contentId, sizeBytes, md5, checksum }: Content): NewContent => ({ contentId, sizeBytes, etag: md5, checksum })

/** The object of a key, locked with the key, which may have none. */
export async function lockObject(tx: Tx, { id }: Place, key: string): Promise<StoredObject | null> {
  const [, found] = await Promise.all([
    lock(tx, `object ${id} ${key}`),
    row<StoredObject>(tx, sql`select * from stored_object where bucket_id = ${id}::uuid and key = ${key} for update`),
  ])
  return found
}

export type NewContent = Pick<StoredObject, 'contentId' | 'sizeBytes' | 'etag'> & { checksum: Checksum | null }

/**
 * Puts new content in place of the former object of a key, which must be locked. `freedBytes` of the bucket's counter, such as those of the
 * parts of an upload, become part of the object.
 */
export async function replace(
  { app, tx }: { app: App; tx: Tx },
  place: Place,
  key: string,
  former: StoredObject | null,
  object: NewContent & Attributes & { freedBytes?: number },
): Promise<Written> {
  const { contentId, sizeBytes, etag, checksum, headers, metadata, freedBytes = 0 } = object
  const isReplaced = former !== null && former.contentId !== contentId
  const [written] = await Promise.all([
    row<{ lastModified: Date }>(
      tx,
      sql`insert into stored_object as o (bucket_id, organization_id, key, content_id, size_bytes, etag, checksum_algorithm, checksum_type,
                                          checksum, headers, metadata)
          values (${place.id}::uuid, ${place.organizationId}::uuid, ${key}, ${contentId}::uuid, ${sizeBytes}, ${etag},
                  ${checksum?.algorithm ?? null}, ${checksum?.type ?? null}, ${checksum?.value ?? null},
                  ${JSON.stringify(headers)}::json, ${JSON.stringify(metadata)}::json)
          on conflict (bucket_id, key) do update
          set content_id = excluded.content_id, size_bytes = excluded.size_bytes, etag = excluded.etag, headers = excluded.headers,
              checksum_algorithm = excluded.checksum_algorithm, checksum_type = excluded.checksum_type, checksum = excluded.checksum,
              metadata = excluded.metadata, last_modified = excluded.last_modified
          returning last_modified`,
    ),
    isReplaced ? release(tx, [former.contentId]) : null,
    applyUsage({ app, tx }, place, {
      bytes: sizeBytes - (former?.sizeBytes ?? 0) - freedBytes,
      objects: former ? 0 : 1,
    }),
  ])
  return { etag, sizeBytes, checksum, lastModified: written!.lastModified }
}

export type CopyRequest = {
  source: { place: Place; key: string }
  sourceConditions: Conditions
  /** Null keeps those of the source. */
  attributes: Attributes | null
  conditions: Conditions
}

/** Copies an object without its bytes, which both then share. */
export async function copyObject(app: App, place: Place, key: string, request: CopyRequest): Promise<Written> {
  requireKey(key)
  const { source, sourceConditions, conditions } = request
  return app.db.transaction(async (tx) => {
    const former = await lockObject(tx, place, key)
    const isSame = source.place.id === place.id && source.key === key
    const found = isSame ? former : await lockSource(tx, source.place, source.key)
    if (!found) throw noSuchKey()
    requireForCopy(sourceConditions, found)
    requireForWriting(conditions, former)
    const { headers, metadata } = request.attributes ?? (found as unknown as Attributes)
    return replace({ app, tx }, place, key, former, { ...found, checksum: checksumOf(found), headers, metadata })
  })
}

/** The lock keeps the source, and so its content, until the commit. */
const lockSource = (tx: Tx, { id }: Place, key: string): Promise<StoredObject | null> =>
  row<StoredObject>(tx, sql`select * from stored_object where bucket_id = ${id}::uuid and key = ${key} for share`)

export const checksumOf = ({ checksumAlgorithm, checksumType, checksum }: StoredObject): Checksum | null =>
  checksum === null ? null : ({ algorithm: checksumAlgorithm, type: checksumType, value: checksum } as Checksum)

/** Deletes the objects with these keys; unknown keys are ignored. */
export const deleteObjects = (app: App, place: Place, keys: readonly string[], graceMs?: number): Promise<void> =>
  app.db.transaction((tx) => removeObjects({ app, tx }, place, keys, graceMs))

/** The same in a transaction. */
export async function removeObjects(
  { app, tx }: { app: App; tx: Tx },
  place: Omit<Place, 'name'>,
  keys: readonly string[],
  graceMs?: number,
): Promise<void> {
  // Locked in one order, so that two of these do not wait for each other.
  await run(tx, sql`select 1 from stored_object where bucket_id = ${place.id}::uuid and key = any(${keys}) order by key for update`)
  const deleted = await rows<{ contentId: string; sizeBytes: number }>(
    tx,
    sql`delete from stored_object where bucket_id = ${place.id}::uuid and key = any(${keys}) returning content_id, size_bytes`,
  )
  if (deleted.length === 0) return
  await release(tx, [...new Set(deleted.map(({ contentId }) => contentId))], graceMs)
  const bytes = deleted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  await applyUsage({ app, tx }, place, { bytes: -bytes, objects: -deleted.length })
}
