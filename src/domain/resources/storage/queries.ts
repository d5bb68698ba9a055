import { z } from 'zod'
import type { StorageKey } from '../../../generated/prisma/client.ts'
import { defineQuery, ofOrganization } from '../../../platform/command.ts'
import { row, rows, sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, listQuery, type Reader, sliceQuery } from '../../../platform/listing.ts'
import type { App } from '../../../platform/work.ts'
import { countConnectedByProject } from '../resource-binding/index.ts'
import type { BucketRow } from './commands.ts'
import { storageEndpoint } from './ports.ts'

/** A caller that is limited to projects sees the buckets that are connected to their services. */
export const bucketListing = defineListing({
  type: 'Bucket',
  noun: 'bucket',
  audited: ['name', 'public', 'corsRules', 'cacheControl'],
  permission: 'view:storage',
  order: 'oldest_first',
  visible: (caller) => sql`t.organization_id = ${caller.organizationId}::uuid and t.deleting_at is null
    and (${caller.projectIds === null}
         or exists (select 1 from resource_binding b where b.resource_id = t.id and b.project_id = any(${caller.projectIds}::uuid[])))`,
})

/** Keys that users created. Those that belong to connections or sign URLs are not shown. */
export const storageKeyListing = defineListing({
  type: 'StorageKey',
  noun: 'storage key',
  audited: ['name', 'accessKeyId', 'canRead', 'canWrite', 'canDelete', 'canAdmin'],
  permission: 'view:storage',
  order: 'oldest_first',
  omit: ['secret', 'secretFingerprint'],
  visible: (caller) => sql`${ofOrganization(caller, sql`t`)} and t.kind = 'USER'`,
})

export type StorageKeyRow = Omit<StorageKey, 'secret' | 'secretFingerprint'>

export const listBuckets = listQuery(bucketListing)
export const countBuckets = countQuery(bucketListing)
export const sliceBuckets = sliceQuery(bucketListing)
export const listStorageKeys = listQuery(storageKeyListing)
export const countStorageKeys = countQuery(storageKeyListing)
export const sliceStorageKeys = sliceQuery(storageKeyListing)

export const findBucketByName = defineQuery({
  name: 'bucket',
  description: 'Bucket with the given ID or name. Null if it does not exist.',
  permission: 'view:storage',
  ids: { id: 'Bucket' },
  input: z
    .object({ id: z.string().nullish(), name: z.string().nullish() })
    .refine((input) => Boolean(input.id) !== Boolean(input.name), { error: 'exactly one of id and name is required', path: ['id'] }),
  run: (read, { id, name }) => bucketListing.findOne(read, id ? sql`t.id = ${id}::uuid` : sql`t.name = ${name}`),
})

/** The buckets of many keys in two statements, oldest first. */
export async function bucketsByKey(reader: Reader, keyIds: readonly string[]): Promise<BucketRow[][]> {
  const pairs = await rows<{ keyId: string; bucketId: string }>(
    reader.tx,
    sql`select storage_key_id as key_id, bucket_id from storage_key_bucket where storage_key_id = any(${keyIds}::uuid[]) order by bucket_id`,
  )
  const found = await bucketListing.find(reader, [...new Set(pairs.map(({ bucketId }) => bucketId))])
  const buckets = new Map(found.map((bucket) => [bucket.id, bucket]))
  const byKey = Map.groupBy(pairs, ({ keyId }) => keyId)
  return keyIds.map((id) => (byKey.get(id) ?? []).flatMap(({ bucketId }) => buckets.get(bucketId) ?? []))
}

/** The same for a door that shows keys with the names of their buckets, by key. */
export const bucketNamesByKey = defineQuery({
  name: 'storageKeyBuckets',
  description: 'Names of the buckets of each of several storage keys, in the order of the keys.',
  permission: 'view:storage',
  ids: { 'ids.*': 'StorageKey' },
  input: z.object({ ids: z.array(z.string()) }),
  run: async (read, { ids }) => (await bucketsByKey({ ...read, columns: ['name'] }, ids)).map((found) => found.map(({ name }) => name)),
})

/** A project has the buckets that are connected to their services. */
export const countBucketsByProject = countConnectedByProject({
  ...{ type: 'Bucket', name: 'bucketCountByProject', noun: 'bucket', permission: 'view:storage' },
})

/** Where S3 clients find the buckets. */
export type StorageAddress = { endpoint: string; region: string }

export const storageAddress = (app: App): StorageAddress => ({
  endpoint: storageEndpoint.use(app).url,
  region: app.settings.STORAGE_REGION,
})

export type StorageTenantFigures = StorageAddress & {
  maxBuckets: number
  maxBytes: number
  usedBytes: number
  bucketCount: number
  keyCount: number
}

export const findStorageTenant = defineQuery({
  name: 'storageTenant',
  description: 'Use of object storage by the organization, its quotas, and the address of the S3 endpoint.',
  permission: 'view:storage',
  ids: {},
  input: z.object({}),
  async run({ app, caller, tx }): Promise<StorageTenantFigures> {
    const used = (await row<{ usedBytes: number; bucketCount: number; keyCount: number }>(
      tx,
      sql`select coalesce((select used_bytes from storage_tenant t where ${ofOrganization(caller, sql`t`)}), 0)::float8 as used_bytes,
            (select count(*)::int from ${bucketListing.from} where ${bucketListing.scope(caller, {})}) as bucket_count,
            (select count(*)::int from ${storageKeyListing.from} where ${storageKeyListing.scope(caller, {})}) as key_count`,
    ))!
    const { STORAGE_MAX_BUCKETS: maxBuckets, STORAGE_MAX_BYTES: maxBytes } = app.settings
    return { ...storageAddress(app), maxBuckets, maxBytes, ...used }
  },
})
