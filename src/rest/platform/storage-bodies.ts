/** Bodies of object storage. The secret access key is only in the body of the key's creation. */
import { z } from 'zod'
import {
  type BucketRow,
  bucketNamesByKey,
  type CorsRule,
  permissionsOf,
  type StorageKeyRow,
  type StorageTenantFigures,
  storageAddress,
} from '../../domain/resources/storage/index.ts'
import type { Named, View } from '../core/index.ts'
import { id, time, timeOf, timeOrNull, total } from './field.ts'

const endpoint = z.string().describe('Address of the S3 endpoint. Clients use path-style requests.')
const region = z.string().describe('Region that clients sign their requests for.')

const tenant = z
  .object({
    max_buckets: z.int(),
    max_bytes: z.number(),
    used_bytes: z.number(),
    bucket_count: z.int(),
    key_count: z.int(),
    endpoint,
    region,
  })
  .describe('Use of object storage by the organization, and its quotas.')

const corsRule = z.object({
  allowed_origins: z.array(z.string()),
  allowed_methods: z.array(z.string()),
  allowed_headers: z.array(z.string()),
  expose_headers: z.array(z.string()),
  max_age_seconds: z.int().nullable(),
})

const bucket = z
  .object({
    id,
    name: z.string(),
    public: z.boolean().describe('Whether objects can be read without a key.'),
    size_bytes: z.number(),
    object_count: z.int(),
    cors: z.array(corsRule),
    cache_control: z.string().nullable().describe('`Cache-Control` header of objects that were stored without one.'),
    endpoint,
    region,
    created_at: time,
  })
  .describe('A bucket for objects.')

const bucketList = z.object({ buckets: z.array(bucket), total }).describe('List of buckets, oldest first.')

const permissions = z.object({ read: z.boolean(), write: z.boolean(), delete: z.boolean(), admin: z.boolean() })

const storageKey = z
  .object({
    id,
    name: z.string(),
    access_key_id: z.string(),
    buckets: z.array(z.string()).describe('Names of the buckets that the key can be used for.'),
    permissions,
    endpoint,
    region,
    last_used_at: time.nullable(),
    created_at: time,
  })
  .describe('A key for S3 clients.')

const createdStorageKey = storageKey
  .extend({
    secret_access_key: z.string().nullable().describe('Returned only once. Null when a request is repeated with the same idempotency key.'),
  })
  .describe('A storage key with its secret.')

const storageKeyList = z.object({ keys: z.array(storageKey), total }).describe('List of storage keys, oldest first.')

const presigned = z
  .object({
    url: z.string().nullable().describe('Null when a request is repeated with the same idempotency key.'),
    method: z.enum(['GET', 'PUT']),
    expires_at: time,
    headers: z.record(z.string(), z.string()).describe('Headers that must be sent with the request.'),
  })
  .describe('A presigned URL for an object.')

export const storageSchemas = { presigned, tenant, bucket, bucketList, storageKey, createdStorageKey, storageKeyList }

export const storageBodies: Named[] = [
  { id: 'StorageTenant', schema: tenant },
  { id: 'Bucket', schema: bucket },
  { id: 'BucketList', schema: bucketList },
  { id: 'StorageKey', schema: storageKey },
  { id: 'CreatedStorageKey', schema: createdStorageKey },
  { id: 'StorageKeyList', schema: storageKeyList },
  { id: 'PresignedUrl', schema: presigned },
]

type StorageBody<Name extends keyof typeof storageSchemas> = z.infer<(typeof storageSchemas)[Name]>
const corsBody = (rule: CorsRule): z.infer<typeof corsRule> => ({
  allowed_origins: rule.allowedOrigins,
  allowed_methods: rule.allowedMethods,
  allowed_headers: rule.allowedHeaders,
  expose_headers: rule.exposeHeaders,
  max_age_seconds: rule.maxAgeSeconds,
})

export const tenantBody = (tenant: StorageTenantFigures): StorageBody<'tenant'> => ({
  max_buckets: tenant.maxBuckets,
  max_bytes: tenant.maxBytes,
  used_bytes: tenant.usedBytes,
  bucket_count: tenant.bucketCount,
  key_count: tenant.keyCount,
  endpoint: tenant.endpoint,
  region: tenant.region,
})

export const bucketBody = (row: BucketRow, { app }: View): StorageBody<'bucket'> => ({
  id: row.id,
  name: row.name,
  public: row.public,
  size_bytes: row.sizeBytes,
  object_count: row.objectCount,
  cors: (row.corsRules as CorsRule[]).map(corsBody),
  cache_control: row.cacheControl,
  ...storageAddress(app),
  created_at: timeOf(row.createdAt),
})

const keyBody = (row: StorageKeyRow, buckets: string[], { app }: View): StorageBody<'storageKey'> => ({
  id: row.id,
  name: row.name,
  access_key_id: row.accessKeyId,
  buckets,
  permissions: permissionsOf(row),
  ...storageAddress(app),
  last_used_at: timeOrNull(row.lastUsedAt),
  created_at: timeOf(row.createdAt),
})

type Presigned = { url: string | null; method: 'GET' | 'PUT'; expiresAt: Date; headers: Record<string, string> }

export const presignedBody = ({ url, method, expiresAt, headers }: Presigned): StorageBody<'presigned'> => ({
  url,
  method,
  expires_at: timeOf(expiresAt),
  headers,
})

type Created = { storageKey: StorageKeyRow; buckets: string[]; secretAccessKey: string | null }

export const createdKeyBody = ({ storageKey, buckets, secretAccessKey }: Created, view: View): StorageBody<'createdStorageKey'> => ({
  ...keyBody(storageKey, buckets, view),
  secret_access_key: secretAccessKey,
})

export async function keyBodies(rows: readonly StorageKeyRow[], view: View): Promise<StorageBody<'storageKey'>[]> {
  const buckets = await view.ask(bucketNamesByKey, { ids: rows.map(({ id }) => id) })
  return rows.map((row, index) => keyBody(row, buckets[index]!, view))
}
