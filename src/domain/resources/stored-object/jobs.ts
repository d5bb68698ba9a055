/** Removes bytes that nothing uses, and uploads that were never completed, and corrects the counters. */
import type { Chore } from '../../../platform/claim.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { applyUsage } from '../storage/index.ts'
import { ObjectError } from './errors.ts'
import { multipartExpiryMs, purgeTopic } from './model.ts'
import { abortMultipartUpload } from './multipart.ts'
import { blobStore } from './ports.ts'

const batch = 200

/** Removes blobs from the store, then their rows. */
export const purgeBlobs: Chore = {
  name: 'purge blobs',
  topic: purgeTopic,
  everyMs: 30_000,
  async run(app) {
    const removable = await rows<{ id: string; name: string }>(
      app.db,
      sql`select id, name from object_blob where removable_at <= app_now() order by removable_at limit ${batch}`,
    )
    if (removable.length === 0) return
    await blobStore.use(app).remove(removable.map(({ name }) => name))
    await run(app.db, sql`delete from object_blob where id = any(${removable.map(({ id }) => id)}::uuid[]) and removable_at <= app_now()`)
    if (removable.length === batch) return 'again'
  },
}

type Expired = { id: string; bucketId: string; organizationId: string }

/** Aborts uploads that were begun long ago. */
export const expireUploads: Chore = {
  name: 'expire multipart uploads',
  topic: null,
  everyMs: 10 * 60_000,
  async run(app, signal) {
    const expired = await rows<Expired>(
      app.db,
      sql`select id, bucket_id, organization_id from multipart_upload
          where created_at < app_now() - ${multipartExpiryMs} * interval '1 millisecond' order by created_at limit ${batch}`,
    )
    for (const { id, bucketId, organizationId } of expired) {
      if (signal.aborted) return
      try {
        await abortMultipartUpload(app, { id: bucketId, organizationId }, id)
      } catch (error) {
        // Its client was faster.
        if (!(error instanceof ObjectError)) throw error
      }
    }
    if (expired.length > 0) app.wake.notify(purgeTopic)
    if (expired.length === batch) return 'again'
  },
}

/** Corrects the counters of buckets by what they contain. */
export const recountBuckets: Chore = {
  name: 'recount buckets',
  topic: null,
  everyMs: 24 * 3_600_000,
  async run(app, signal) {
    for (let after: string | null = nilId; after !== null && !signal.aborted; ) {
      const next: { id: string; organizationId: string } | null = await row(
        app.db,
        sql`select id, organization_id from bucket where id > ${after}::uuid and deleting_at is null order by id limit 1`,
      )
      if (next) await recount(app, next)
      after = next?.id ?? null
    }
  },
}

export const recount = (app: App, bucket: { id: string; organizationId: string }): Promise<void> =>
  app.db.transaction(async (tx) => {
    // Holds back all that would change the counters, so that what is counted is what they should be.
    await applyUsage({ app, tx }, bucket, { bytes: 0, objects: 0 })
    const found = await row<{ bytes: number; objects: number }>(
      tx,
      sql`select c.bytes - b.size_bytes as bytes, c.objects - b.object_count as objects
          from bucket b, (
            select coalesce(sum(o.size_bytes), 0) + (
                select coalesce(sum(p.size_bytes), 0) from multipart_part p join multipart_upload u on u.id = p.upload_id
                where u.bucket_id = ${bucket.id}::uuid) as bytes,
              count(*)::int as objects
            from stored_object o where o.bucket_id = ${bucket.id}::uuid) c
          where b.id = ${bucket.id}::uuid`,
    )
    if (!found || (found.bytes === 0 && found.objects === 0)) return
    app.log.warn({ bucket: bucket.id, ...found }, 'the counters of a bucket were wrong and have been corrected')
    await applyUsage({ app, tx }, bucket, found)
  })
