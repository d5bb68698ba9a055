/**
 * Object storage: the buckets of an organization and the keys for them. What buckets contain and the S3 endpoint itself are not here: a later
 * concept says how a bucket is emptied (`bucketContents`), and counts its objects (`applyUsage`).
 */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stampedByVersion } from '../../../platform/db/constraints.ts'
import { organizationContents } from '../../access/organization/index.ts'
import { bindableKinds } from '../resource-binding/index.ts'
import { createBucket, deleteBucket, updateBucket } from './commands.ts'
import { bindableBuckets, connectBucket, reactions } from './connection.ts'
import { storageErrors } from './errors.ts'
import { bucketCreated, bucketDeleted, bucketUpdated, storageKeyCreated, storageKeyRevoked } from './events.ts'
import { createStorageKey, deleteStorageKey } from './key-commands.ts'
import { secretIdentity } from './model.ts'
import { storageEndpoint } from './ports.ts'
import { presignObject } from './presign.ts'
import {
  bucketListing,
  bucketNamesByKey,
  countBuckets,
  countBucketsByProject,
  countStorageKeys,
  findBucketByName,
  findStorageTenant,
  listBuckets,
  listStorageKeys,
  sliceBuckets,
  sliceStorageKeys,
  storageKeyListing,
} from './queries.ts'
import { removeBuckets, storageOfOrganization } from './removal.ts'

export { findBucket, findStorageKey, listBucketsOfKey, type ServedBucket, type SigningKey, touchStorageKey } from './access.ts'
export { type BucketRow, createBucket, deleteBucket, updateBucket } from './commands.ts'
export { connectBucket } from './connection.ts'
export { type BucketContents, bucketContents } from './contents.ts'
export { storageErrors } from './errors.ts'
export { createStorageKey, deleteStorageKey } from './key-commands.ts'
export { type StorageFigures, storageFigures } from './metrics.ts'
export { type CorsRule, permissionsOf, type StoragePermissions } from './model.ts'
export { type StorageEndpoint, storageEndpoint } from './ports.ts'
export { presignObject } from './presign.ts'
export {
  bucketListing,
  bucketNamesByKey,
  countBucketsByProject,
  findBucketByName,
  findStorageTenant,
  type StorageKeyRow,
  type StorageTenantFigures,
  sliceBuckets,
  sliceStorageKeys,
  storageAddress,
} from './queries.ts'
export { applyUsage, type Usage } from './usage.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Bucket: 'bkt'
    StorageKey: 'skey'
  }
}

export const storage = defineConcept({
  name: 'storage',
  idPrefixes: { Bucket: 'bkt', StorageKey: 'skey' },
  nodes: [bucketListing, storageKeyListing],
  commands: [createBucket, updateBucket, deleteBucket, createStorageKey, deleteStorageKey, presignObject, connectBucket],
  queries: [
    findStorageTenant,
    findBucketByName,
    listBuckets,
    countBuckets,
    sliceBuckets,
    listStorageKeys,
    countStorageKeys,
    sliceStorageKeys,
    bucketNamesByKey,
    countBucketsByProject,
  ],
  events: [bucketCreated, bucketUpdated, bucketDeleted, storageKeyCreated, storageKeyRevoked],
  errors: [storageErrors],
  reactions,
  chores: [removeBuckets],
  ports: [storageEndpoint],
  extensions: [organizationContents.with(storageOfOrganization), bindableKinds.with(bindableBuckets)],
  sealed: [{ table: 'storage_key', key: 'id', column: 'secret', identity: secretIdentity }],
  constraints: [
    stampedByVersion('bucket'),
    stampedByVersion('storage_key'),
    check('storage_tenant', 'used_bytes', 'used_bytes >= 0'),
    check('bucket', 'usage', 'size_bytes >= 0 AND object_count >= 0'),
    check('storage_key', 'kind', "(kind = 'CONNECTION') = (resource_binding_id IS NOT NULL)"),
  ],
})
