/** Which operation a request asks for: by its method, by whether it names a bucket and a key, and by a parameter that names a subresource. */
import type { Permission } from './authorize.ts'
import * as buckets from './bucket.ts'
import * as admins from './bucket-admin.ts'
import { S3Error } from './error.ts'
import { type BucketExchange, type Exchange, headerOf } from './exchange.ts'
import * as listings from './listing.ts'
import * as uploads from './multipart.ts'
import * as objects from './object.ts'
import type { S3Request } from './request.ts'

export type Operation = {
  /** As in the S3 API. */
  name: string
  permission: Permission
  /** Whether it needs no signature for public buckets. */
  isPublic?: boolean
  run(exchange: BucketExchange): Promise<void>
}

const read = (name: string, run: Operation['run']): Operation => ({ name, permission: 'read', run })
const write = (name: string, run: Operation['run']): Operation => ({ name, permission: 'write', run })
const remove = (name: string, run: Operation['run']): Operation => ({ name, permission: 'delete', run })
const admin = (name: string, run: Operation['run']): Operation => ({ name, permission: 'admin', run })

/** By method and subresource. `''`: without one. */
const ofBucket: Record<string, Record<string, Operation>> = {
  GET: {
    '': read('ListObjects', listings.listV1),
    'list-type': read('ListObjectsV2', listings.listV2),
    location: read('GetBucketLocation', buckets.location),
    uploads: read('ListMultipartUploads', uploads.uploads),
    versioning: read('GetBucketVersioning', buckets.empty('VersioningConfiguration')),
    acl: read('GetBucketAcl', buckets.acl),
    cors: read('GetBucketCors', buckets.cors),
    policy: read('GetBucketPolicy', buckets.none('NoSuchBucketPolicy', 'The bucket has no policy.')),
    lifecycle: read('GetBucketLifecycle', buckets.none('NoSuchLifecycleConfiguration', 'The bucket has no lifecycle configuration.')),
    tagging: read('GetBucketTagging', buckets.none('NoSuchTagSet', 'The bucket has no tags.')),
    website: read('GetBucketWebsite', buckets.none('NoSuchWebsiteConfiguration', 'The bucket has no website configuration.')),
    encryption: read(
      'GetBucketEncryption',
      buckets.none('ServerSideEncryptionConfigurationNotFoundError', 'The bucket has no encryption configuration.'),
    ),
    'object-lock': read(
      'GetObjectLockConfiguration',
      buckets.none('ObjectLockConfigurationNotFoundError', 'The bucket has no object lock configuration.'),
    ),
    logging: read('GetBucketLogging', buckets.empty('BucketLoggingStatus')),
    notification: read('GetBucketNotification', buckets.empty('NotificationConfiguration')),
    accelerate: read('GetBucketAccelerate', buckets.empty('AccelerateConfiguration')),
    requestPayment: read('GetBucketRequestPayment', buckets.empty('RequestPaymentConfiguration', { Payer: 'BucketOwner' })),
  },
  HEAD: { '': read('HeadBucket', buckets.headBucket) },
  PUT: { cors: admin('PutBucketCors', admins.putCors) },
  POST: { delete: remove('DeleteObjects', buckets.deleteMany) },
  DELETE: { '': admin('DeleteBucket', admins.remove), cors: admin('DeleteBucketCors', admins.deleteCors) },
}

const ofObject: Record<string, Record<string, Operation>> = {
  GET: {
    '': { ...read('GetObject', objects.get), isPublic: true },
    uploadId: read('ListParts', uploads.parts),
    acl: read('GetObjectAcl', buckets.acl),
    tagging: read('GetObjectTagging', buckets.empty('Tagging', { TagSet: '' })),
  },
  HEAD: { '': { ...read('HeadObject', objects.head), isPublic: true } },
  PUT: { '': write('PutObject', objects.put), uploadId: write('UploadPart', uploads.uploadPart) },
  POST: { uploads: write('CreateMultipartUpload', uploads.create), uploadId: write('CompleteMultipartUpload', uploads.complete) },
  DELETE: { '': remove('DeleteObject', objects.remove), uploadId: write('AbortMultipartUpload', uploads.abort) },
}

const copies: Record<string, Operation> = {
  '': write('CopyObject', objects.copy),
  uploadId: write('UploadPartCopy', uploads.copyPart),
}

/** Parameters that name something which is not implemented, beside the ones above. */
const unknownSubresources = new Set([
  ...['analytics', 'attributes', 'intelligent-tiering', 'inventory', 'legal-hold', 'metrics', 'ownershipControls', 'policyStatus'],
  ...['publicAccessBlock', 'replication', 'restore', 'retention', 'select', 'session', 'torrent', 'versions', 'renameObject'],
])
const subresources = new Set([ofBucket, ofObject].flatMap((all) => Object.values(all).flatMap((operations) => Object.keys(operations))))

/** The operation on a bucket or an object. Throws S3Error for one that does not exist or is not implemented. */
export function operationOf(exchange: Exchange): Operation {
  const { s3 } = exchange
  const versionId = s3.parameters.get('versionId')
  if (versionId !== undefined && versionId !== 'null') throw new S3Error('InvalidArgument', 'Objects have no versions.')
  const subresource = subresourceOf(s3)
  const isCopy = s3.method === 'PUT' && s3.key !== '' && headerOf(exchange, 'x-amz-copy-source') !== undefined
  const byMethod = s3.key === '' ? ofBucket : ofObject
  const found = isCopy ? copies[subresource] : byMethod[s3.method]?.[subresource]
  if (found) return found
  if (subresource === '' && !Object.values(byMethod).some((operations) => operations['']))
    throw new S3Error('MethodNotAllowed', 'The method is not allowed for this resource.')
  throw new S3Error('NotImplemented', `The operation ${s3.method}${subresource ? ` ?${subresource}` : ''} is not implemented.`)
}

/** The one operation on a bucket that need not exist. */
export const isBucketCreation = (s3: S3Request): boolean => s3.method === 'PUT' && s3.key === '' && subresourceOf(s3) === ''

function subresourceOf({ parameters }: S3Request): string {
  for (const name of parameters.keys()) if (name !== '' && (subresources.has(name) || unknownSubresources.has(name))) return name
  return ''
}
