/** What the deletion of a bucket has to do with its objects and its unfinished uploads. */
import { row, rows, sql } from '../../../platform/db/index.ts'
import type { BucketContents } from '../storage/index.ts'
import { removeUpload } from './multipart.ts'
import { removeObjects } from './write.ts'

const objectsPerStep = 1_000
const uploadsPerStep = 20

export const objectsOfBuckets: BucketContents = {
  async isEmpty(tx, bucketId) {
    const found = await row<{ isEmpty: boolean }>(
      tx,
      sql`select not exists (select 1 from stored_object where bucket_id = ${bucketId}::uuid)
             and not exists (select 1 from multipart_upload where bucket_id = ${bucketId}::uuid) as is_empty`,
    )
    return found!.isEmpty
  },

  async removeSome(work, bucket) {
    const objects = await rows<{ key: string }>(
      work.tx,
      sql`select key from stored_object where bucket_id = ${bucket.id}::uuid order by key limit ${objectsPerStep}`,
    )
    const keys = objects.map(({ key }) => key)
    await removeObjects(work, bucket, keys)
    if (keys.length === objectsPerStep) return false
    const uploads = await rows<{ id: string }>(
      work.tx,
      sql`select id from multipart_upload where bucket_id = ${bucket.id}::uuid order by id limit ${uploadsPerStep}`,
    )
    for (const { id } of uploads) await removeUpload(work, bucket, id)
    return uploads.length < uploadsPerStep
  },
}
