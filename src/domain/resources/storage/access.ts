/** What the S3 endpoint needs for each request: the key that signed it, and the bucket that it names. */
import type { Bucket, StorageKey } from '../../../generated/prisma/client.ts'
import { type Credential, cacheCredentials } from '../../../platform/credential-cache.ts'
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { isLive } from '../../access/organization/index.ts'
import { type CorsRule, isAccessKeyId, type StoragePermissions, secretIdentity } from './model.ts'

/** A key that requests are signed with, and what it permits. */
export type SigningKey = {
  id: string
  name: string
  organizationId: string
  secretAccessKey: string
  permissions: StoragePermissions
  bucketIds: ReadonlySet<string>
}

/**
 * The key with this access key ID. Null if it does not exist or was revoked. Each process caches a key for a second; whoever revokes one wakes
 * `credentials`.
 */
export const findStorageKey = (app: App, accessKeyId: string): SigningKey | null | Promise<SigningKey | null> => knownKeys(app)(accessKeyId)

const knownKeys = perApp((app) =>
  cacheCredentials(app, async (accessKeyId) => (isAccessKeyId(accessKeyId) ? readKey(app, accessKeyId) : null)),
)

async function readKey(app: App, accessKeyId: string): Promise<Credential<SigningKey> | null> {
  const key = await row<StorageKey & { bucketIds: string[] }>(
    app.db,
    sql`select k.*, array(select bucket_id from storage_key_bucket b where b.storage_key_id = k.id) as bucket_ids
        from storage_key k where k.access_key_id = ${accessKeyId} and ${isLive(sql`k.organization_id`)}`,
  )
  if (!key) return null
  const { id, name, organizationId, secret, canRead, canWrite, canDelete, canAdmin, bucketIds } = key
  const holder: SigningKey = {
    ...{ id, name, organizationId, bucketIds: new Set(bucketIds) },
    secretAccessKey: await app.keyring.open(app.db, organizationId, secretIdentity(id), secret),
    permissions: { read: canRead, write: canWrite, delete: canDelete, admin: canAdmin },
  }
  return { holder, expiresInMs: null }
}

const usedEveryMs = 60_000
const mostNoted = 10_000
const notedUses = perApp(() => new Map<string, number>())

/** Notes the use of a key, whose signature was checked, at most once a minute for each process. */
export async function touchStorageKey(app: App, id: string): Promise<void> {
  const noted = notedUses(app)
  const now = performance.now()
  if (now - (noted.get(id) ?? Number.NEGATIVE_INFINITY) < usedEveryMs) return
  if (noted.size >= mostNoted) noted.delete(noted.keys().next().value!)
  noted.set(id, now)
  await run(app.db, sql`update storage_key set last_used_at = app_now() where id = ${id}::uuid`)
}

/** What the endpoint needs of a bucket. */
export type ServedBucket = Pick<Bucket, 'id' | 'organizationId' | 'name' | 'public' | 'cacheControl' | 'createdAt'> & {
  corsRules: CorsRule[]
}

/** The bucket with this name, of any organization. Null if it does not exist or is being deleted. */
export const findBucket = (tx: Tx, name: string): Promise<ServedBucket | null> =>
  row<ServedBucket>(
    tx,
    sql`select id, organization_id, name, public, cors_rules, cache_control, created_at from bucket
        where name = ${name} and deleting_at is null`,
  )

/** The buckets of a key by their names, without those that are being deleted. */
export const listBucketsOfKey = (tx: Tx, { bucketIds }: Pick<SigningKey, 'bucketIds'>): Promise<Pick<Bucket, 'name' | 'createdAt'>[]> =>
  rows(tx, sql`select name, created_at from bucket where id = any(${[...bucketIds]}::uuid[]) and deleting_at is null order by name`)
