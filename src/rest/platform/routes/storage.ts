import { z } from 'zod'
import {
  createBucket,
  createStorageKey,
  deleteBucket,
  deleteStorageKey,
  findStorageTenant,
  presignObject,
  sliceBuckets,
  sliceStorageKeys,
  updateBucket,
} from '../../../domain/resources/storage/index.ts'
import { commandRow, queryRow, type Route, type Source, trueOrFalse } from '../../core/index.ts'
import { bucketBody, createdKeyBody, keyBodies, presignedBody, storageSchemas as schemas, tenantBody } from '../storage-bodies.ts'

const tag = 'Object storage'
const bucketParams = { bucket_id: 'id' }

const permission = z.enum(['read', 'write', 'delete', 'admin'])

/** A list of words permits what it names, and nothing else. Any other value is returned unchanged, and the domain rejects it. */
const permissionsFrom = (value: unknown): unknown => {
  const words = z.array(permission).safeParse(value)
  return words.success ? Object.fromEntries(permission.options.map((word) => [word, words.data.includes(word)])) : value
}

const permissions: Source = {
  to: 'permissions',
  read: permissionsFrom,
  schema: z.union([
    z.object({
      read: z.boolean().default(true),
      write: z.boolean().default(false),
      delete: z.boolean().default(false),
      admin: z.boolean().default(false),
    }),
    z.array(permission),
  ]),
  description: 'What the key permits, as an object or as a list of words. At least one permission is required.',
}

const cors: Source = {
  to: 'corsRules',
  items: {
    allowed_origins: 'allowedOrigins',
    allowed_methods: 'allowedMethods',
    allowed_headers: 'allowedHeaders',
    expose_headers: 'exposeHeaders',
    max_age_seconds: 'maxAgeSeconds',
  },
  description: 'CORS rules, which replace the current ones.',
}

const force: Source = {
  to: 'force',
  read: trueOrFalse,
  fallback: false,
  schema: z.boolean(),
  description: 'Whether to delete the bucket even if it contains objects or web services are connected to it.',
}

export const storageRoutes: Route[] = [
  queryRow({
    id: 'getStorageTenant',
    method: 'GET',
    path: '/storage/tenant',
    tag,
    summary: 'Retrieve the use of object storage and its quotas',
    read: findStorageTenant,
    status: 200,
    schema: schemas.tenant,
    reply: tenantBody,
  }),
  commandRow({
    id: 'createBucket',
    method: 'POST',
    path: '/storage/buckets',
    tag,
    summary: 'Create a bucket',
    description: 'The name must be unique among the buckets of all organizations: 3 to 63 lowercase letters, digits and hyphens.',
    command: createBucket,
    body: { name: 'name', public: 'public' },
    status: 201,
    schema: schemas.bucket,
    reply: ({ bucket }, view) => bucketBody(bucket, view),
    version: ({ bucket }) => bucket.version,
  }),
  queryRow({
    id: 'listBuckets',
    method: 'GET',
    path: '/storage/buckets',
    tag,
    summary: 'List buckets',
    read: sliceBuckets,
    page: { size: null },
    status: 200,
    schema: schemas.bucketList,
    reply: ({ rows, total }, view) => ({ buckets: rows.map((row) => bucketBody(row, view)), total }),
  }),
  commandRow({
    id: 'updateBucket',
    method: 'PATCH',
    path: '/storage/buckets/{bucket_id}',
    tag,
    summary: 'Update a bucket',
    command: updateBucket,
    params: bucketParams,
    body: { public: 'public', cors, cache_control: 'cacheControl' },
    status: 200,
    schema: schemas.bucket,
    reply: ({ bucket }, view) => bucketBody(bucket, view),
    version: ({ bucket }) => bucket.version,
  }),
  commandRow({
    id: 'deleteBucket',
    method: 'DELETE',
    path: '/storage/buckets/{bucket_id}',
    tag,
    summary: 'Delete a bucket',
    description: 'Fails with a conflict if the bucket contains objects, unless `force` is true.',
    command: deleteBucket,
    params: bucketParams,
    query: { force },
    status: 204,
  }),
  commandRow({
    id: 'createStorageKey',
    method: 'POST',
    path: '/storage/keys',
    tag,
    summary: 'Create a storage key',
    description: 'The secret access key is returned only once.',
    command: createStorageKey,
    body: {
      name: 'name',
      buckets: { to: 'buckets', description: 'Names or IDs of the buckets that the key can be used for.' },
      permissions,
    },
    status: 201,
    schema: schemas.createdStorageKey,
    reply: createdKeyBody,
    version: ({ storageKey }) => storageKey.version,
  }),
  queryRow({
    id: 'listStorageKeys',
    method: 'GET',
    path: '/storage/keys',
    tag,
    summary: 'List storage keys',
    read: sliceStorageKeys,
    page: { size: null },
    status: 200,
    schema: schemas.storageKeyList,
    reply: async ({ rows, total }, view) => ({ keys: await keyBodies(rows, view), total }),
  }),
  commandRow({
    id: 'deleteStorageKey',
    method: 'DELETE',
    path: '/storage/keys/{key_id}',
    tag,
    summary: 'Revoke a storage key',
    description: 'The S3 endpoint refuses the key from the next request on.',
    command: deleteStorageKey,
    params: { key_id: 'id' },
    status: 204,
  }),
  commandRow({
    id: 'presignObject',
    method: 'POST',
    path: '/storage/buckets/{bucket_id}/presign',
    tag,
    summary: 'Create a presigned URL',
    description: 'Anyone can read or store the object with the URL until it expires.',
    command: presignObject,
    params: { bucket_id: 'bucketId' },
    body: { key: 'key', method: 'method', expires_in: { to: 'expiresInSeconds', fallback: 600 }, content_type: 'contentType' },
    status: 200,
    schema: schemas.presigned,
    reply: presignedBody,
  }),
]
