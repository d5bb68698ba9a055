/** Who sends a request, and whether they may do what it asks. */
import {
  findBucket,
  findStorageKey,
  type ServedBucket,
  type SigningKey,
  type StoragePermissions,
  touchStorageKey,
} from '../domain/resources/storage/index.ts'
import { reportFailure } from '../platform/failure-log.ts'
import { type ChunkSigner, readClaim, verifySignature } from '../platform/s3-signature.ts'
import type { App } from '../platform/work.ts'
import { accessDenied, S3Error } from './error.ts'
import type { S3Request } from './request.ts'

export type Signed = { key: SigningKey; signer: ChunkSigner; payload: string }

/**
 * The key that signed a request for this region; null: for any. Null if the request is not signed. Throws S3Error or SignatureError if its
 * signature is not valid.
 */
export async function authenticate(app: App, request: S3Request, region: string | null): Promise<Signed | null> {
  const claim = readClaim(request, region)
  if (!claim) return null
  const key = await findStorageKey(app, claim.accessKeyId)
  if (!key) throw new S3Error('InvalidAccessKeyId', 'The access key ID does not exist.')
  const signer = await verifySignature(claim, request, key.secretAccessKey, app.clock.now())
  touchStorageKey(app, key.id).catch((error) => reportFailure(app, error, 'the use of a storage key could not be noted', {}, 'warn'))
  return { key, signer, payload: claim.payload }
}

export type Permission = keyof StoragePermissions

/**
 * The bucket with this name, if the key has a permission for it. Without a key, only objects of public buckets can be read. A bucket of another
 * organization is answered as one that does not exist. Throws S3Error.
 */
export async function requireBucket(
  app: App,
  key: SigningKey | null,
  name: string,
  permission: Permission,
  { isPublic = false } = {},
): Promise<ServedBucket> {
  if (!isPublic && !key) throw accessDenied('The request must be signed.')
  const bucket = await findBucket(app.db, name)
  if (!key) {
    if (!bucket?.public) throw accessDenied()
    return bucket
  }
  if (!bucket || (bucket.organizationId !== key.organizationId && !(isPublic && bucket.public)))
    throw new S3Error('NoSuchBucket', 'The specified bucket does not exist.')
  if (isPublic && bucket.public) return bucket
  if (!key.bucketIds.has(bucket.id)) throw accessDenied('The key does not include this bucket.')
  if (!key.permissions[permission]) throw accessDenied(`The key does not have the permission ${permission}.`)
  return bucket
}
