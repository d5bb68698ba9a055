/** The end of buckets. A bucket with objects is marked first, and then emptied step by step. */
import type { Bucket } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import type { Chore } from '../../../platform/claim.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { transact, type Work } from '../../../platform/work.ts'
import type { OrganizationContents } from '../../access/organization/index.ts'
import { removeResource } from '../resource/index.ts'
import { disconnectAll, resourceBindingDeleted } from '../resource-binding/index.ts'
import { bucketContents } from './contents.ts'
import { bucketDeleted, bucketEventOf } from './events.ts'

const topic = 'remove buckets'

/** Hides a bucket and refuses its keys. */
export async function markDeleting(work: Work, id: string): Promise<void> {
  await run(work.tx, sql`update bucket set deleting_at = app_now(), version = version + 1 where id = ${id}::uuid`)
  await removePresignKey(work, id)
  work.wake(topic)
}

/** Removes an empty bucket. */
export async function removeBucket(work: Work, bucket: Bucket): Promise<void> {
  await removePresignKey(work, bucket.id)
  await removeResource(work, bucket.id)
  await publish(work, bucketDeleted, bucketEventOf(bucket))
}

const bucketsPerStep = 50

/** Buckets are emptied in the background. Keys of the S3 endpoint are refused from the moment the organization is marked. */
export const storageOfOrganization: OrganizationContents = {
  name: 'buckets',
  phase: 'objects',
  emits: [resourceBindingDeleted],
  async remove(work) {
    const { organizationId } = work.caller
    const buckets = await rows<Bucket>(
      work.tx,
      sql`select * from bucket where organization_id = ${organizationId}::uuid and deleting_at is null order by id limit ${bucketsPerStep} for update`,
    )
    for (const { id } of buckets) {
      await disconnectAll(work, id, { force: true })
      await markDeleting(work, id)
    }
    if (buckets.length === bucketsPerStep) return 'more'
    await run(work.tx, sql`delete from storage_key where organization_id = ${organizationId}::uuid`)
    if (await row(work.tx, sql`select 1 as one from bucket where organization_id = ${organizationId}::uuid limit 1`)) return 'waiting'
    await run(work.tx, sql`delete from storage_tenant where organization_id = ${organizationId}::uuid`)
    return 'done'
  },
}

async function removePresignKey(work: Work, bucketId: string): Promise<void> {
  await run(
    work.tx,
    sql`delete from storage_key k using storage_key_bucket b where b.storage_key_id = k.id and b.bucket_id = ${bucketId}::uuid and k.kind = 'PRESIGN'`,
  )
  work.wake('credentials')
}

const emits = [bucketDeleted]

/** Removes objects of buckets that are being deleted, a limited number in each transaction, and then the buckets. */
export const removeBuckets: Chore = {
  name: topic,
  emits,
  topic,
  everyMs: 60_000,
  async run(app, signal) {
    const marked = await rows<Bucket>(app.db, sql`select * from bucket where deleting_at is not null order by deleting_at, id limit 100`)
    const failures: unknown[] = []
    let isDone = true
    for (const { id, organizationId } of marked) {
      if (signal.aborted) return
      // What cannot be removed does not keep other buckets from being removed.
      const step = transact(app, systemCaller(organizationId), { emits }, (work) => removeSome(work, id))
      await step.then(
        (done) => {
          isDone &&= done
        },
        (error) => failures.push(error),
      )
    }
    if (failures.length > 0) throw failures[0]
    if (!isDone) return 'again'
  },
}

/** Does one step. Returns whether nothing is left to do here: the bucket is removed, or another process is at it. */
async function removeSome(work: Work, id: string): Promise<boolean> {
  const bucket = await row<Bucket>(work.tx, sql`select * from bucket where id = ${id}::uuid for update skip locked`)
  if (!bucket) return true
  for (const contents of bucketContents.of(work.app)) if (!(await contents.removeSome(work, bucket))) return false
  await removeBucket(work, bucket)
  return true
}
