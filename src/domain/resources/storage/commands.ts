import { z } from 'zod'
import type { Bucket } from '../../../generated/prisma/client.ts'
import { changes, defineCommand, demandOrganization } from '../../../platform/command.ts'
import { assignments, newRow, row, run, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { insertResource } from '../resource/index.ts'
import { disconnectAll, resourceBindingDeleted } from '../resource-binding/index.ts'
import { bucketContents } from './contents.ts'
import { storageErrors } from './errors.ts'
import { bucketCreated, bucketDeleted, bucketEventOf, bucketUpdated } from './events.ts'
import { insertKey } from './key.ts'
import { lockBucket } from './lock.ts'
import { bucketNameSchema, cacheControlSchema, corsRulesSchema } from './model.ts'
import { markDeleting, removeBucket } from './removal.ts'

export type BucketRow = Bucket

export const createBucket = defineCommand({
  name: 'createBucket',
  description:
    'Creates a bucket. Fails with `bucket_name_taken` if any organization of this installation has a bucket of this name, and with `storage_quota_exceeded` if the organization has as many buckets as it may have.',
  permission: 'manage:storage',
  ids: {},
  targetType: 'Bucket',
  input: z.object({ name: bucketNameSchema, public: z.boolean().nullish() }),
  emits: [bucketCreated],
  async run(work, { name, public: isPublic }) {
    demandOrganization(work.caller, 'create buckets')
    const { organizationId, subject } = work.caller
    await reserveBucket(work, organizationId)
    const id = newId()
    await insertResource(work, { id, type: 'Bucket', environment: null })
    const data = newRow({ id, organizationId, name, public: isPublic ?? false, createdBy: subject.name })
    const bucket = await row<Bucket>(work.tx, sql`insert into bucket ${data} on conflict (name) do nothing returning *`)
    if (!bucket) throw storageErrors.bucket_name_taken({ field: 'name' })
    await insertKey(work, {
      ...{ kind: 'PRESIGN', name, bucketIds: [id] },
      permissions: { read: true, write: true, delete: false, admin: false },
    })
    await publish(work, bucketCreated, bucketEventOf(bucket))
    return { bucket }
  },
})

/** Checks the number of buckets. One transaction of an organization at a time creates a bucket. */
async function reserveBucket(work: Work, organizationId: string): Promise<void> {
  await run(work.tx, sql`insert into storage_tenant ${newRow({ organizationId })} on conflict do nothing`)
  await run(work.tx, sql`select 1 from storage_tenant where organization_id = ${organizationId}::uuid for update`)
  const { n } = (await row<{ n: number }>(
    work.tx,
    sql`select count(*)::int as n from bucket where organization_id = ${organizationId}::uuid`,
  ))!
  const quota = work.app.settings.STORAGE_MAX_BUCKETS
  if (n < quota) return
  throw storageErrors.storage_quota_exceeded({
    text: `The organization can have at most ${quota} buckets. Delete one first.`,
    details: { maxBuckets: quota },
  })
}

export const updateBucket = defineCommand({
  name: 'updateBucket',
  description:
    'Updates the settings of a bucket. Omitted fields are left unchanged. An update that changes nothing returns the bucket unchanged.',
  permission: 'manage:storage',
  ids: { id: 'Bucket' },
  targetType: 'Bucket',
  target: lockBucket,
  input: z.object({ public: z.boolean().nullish(), corsRules: corsRulesSchema.nullish(), cacheControl: cacheControlSchema.nullish() }),
  emits: [bucketUpdated],
  async run(work, input, target: Bucket) {
    const after = { public: input.public ?? undefined, corsRules: input.corsRules ?? undefined, cacheControl: input.cacheControl }
    if (!changes(target, after)) return { bucket: target }
    const set = assignments({ ...after, corsRules: after.corsRules && JSON.stringify(after.corsRules) })
    const bucket = (await row<Bucket>(
      work.tx,
      sql`update bucket set ${set}, version = version + 1 where id = ${target.id}::uuid returning *`,
    ))!
    await publish(work, bucketUpdated, bucketEventOf(bucket))
    return { bucket }
  },
})

export const deleteBucket = defineCommand({
  name: 'deleteBucket',
  description:
    'Deletes a bucket. Fails with `bucket_not_empty` if it contains objects, and with `resource_in_use` while it is connected to services, unless `force` is true: then the bucket is no longer available at once, and its objects are removed in the background. Its name can be used again when they are removed.',
  permission: 'delete:storage',
  ids: { id: 'Bucket' },
  targetType: 'Bucket',
  target: lockBucket,
  input: z.object({ force: z.boolean().nullish() }),
  emits: [resourceBindingDeleted, bucketDeleted],
  async run(work, { force }, target: Bucket) {
    await disconnectAll(work, target.id, { force: Boolean(force) })
    if (await isEmpty(work, target.id)) await removeBucket(work, target)
    else if (force) await markDeleting(work, target.id)
    else throw storageErrors.bucket_not_empty({ field: 'id' })
    return { deletedId: target.id }
  },
})

async function isEmpty({ app, tx }: Work, bucketId: string): Promise<boolean> {
  for (const contents of bucketContents.of(app)) if (!(await contents.isEmpty(tx, bucketId))) return false
  return true
}
