/** Errors in the words of the S3 API: what the domain throws becomes one of its codes, and anything unknown is logged and masked. */
import { type BlobErrorCode, ObjectError, type ObjectErrorCode } from '../domain/resources/stored-object/index.ts'
import { outageOf } from '../platform/db/index.ts'
import { DomainError, PortError } from '../platform/errors.ts'
import { reportFailure } from '../platform/failure-log.ts'
import { SignatureError, type SignatureErrorCode } from '../platform/s3-signature.ts'
import type { App } from '../platform/work.ts'

/** Status of each code. */
const statuses = {
  AccessControlListNotSupported: 400,
  AccessDenied: 403,
  AuthorizationHeaderMalformed: 400,
  AuthorizationQueryParametersError: 400,
  BadDigest: 400,
  BucketAlreadyExists: 409,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IncompleteBody: 400,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidStorageClass: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedXML: 400,
  MaxMessageLengthExceeded: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  MissingSecurityHeader: 400,
  NoSuchBucket: 404,
  NoSuchBucketPolicy: 404,
  NoSuchCORSConfiguration: 404,
  NoSuchKey: 404,
  NoSuchLifecycleConfiguration: 404,
  NoSuchTagSet: 404,
  NoSuchUpload: 404,
  NoSuchWebsiteConfiguration: 404,
  NotImplemented: 501,
  NotModified: 304,
  ObjectLockConfigurationNotFoundError: 404,
  PreconditionFailed: 412,
  QuotaExceeded: 403,
  RequestTimeTooSkewed: 403,
  RequestTimeout: 400,
  ServerSideEncryptionConfigurationNotFoundError: 404,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
  TooManyBuckets: 400,
  XAmzContentSHA256Mismatch: 400,
} satisfies Record<ObjectErrorCode | SignatureErrorCode, number> & Record<string, number>

export type S3ErrorCode = keyof typeof statuses

/** A refusal that the client sees. */
export class S3Error extends Error {
  override readonly name = 'S3Error'
  readonly code: S3ErrorCode
  constructor(code: S3ErrorCode, message: string) {
    super(message)
    this.code = code
  }
  get status(): number {
    return statuses[this.code]
  }
}

export const accessDenied = (message = 'Access denied.') => new S3Error('AccessDenied', message)

const slowDown = (message: string) => new S3Error('SlowDown', message)

const portErrors: Record<BlobErrorCode, S3Error> = {
  NO_CAPACITY: slowDown('The object storage has too little free space.'),
  STORE_UNAVAILABLE: slowDown('The object storage is temporarily unavailable. Retry later.'),
  BLOB_MISSING: new S3Error('InternalError', 'The bytes of the object are missing.'),
}

/** Codes of the storage concept's errors. Those of commands that S3 requests execute, too. */
const domainErrors: Record<string, S3ErrorCode> = {
  storage_quota_exceeded: 'QuotaExceeded',
  bucket_limit: 'TooManyBuckets',
  bucket_name_taken: 'BucketAlreadyExists',
  bucket_not_empty: 'BucketNotEmpty',
  resource_in_use: 'BucketNotEmpty',
  rate_limited: 'SlowDown',
  not_found: 'NoSuchBucket',
  forbidden: 'AccessDenied',
  invalid_input: 'InvalidArgument',
  unavailable: 'SlowDown',
}

/** The S3 error for anything thrown. */
export function toS3Error(app: App, error: unknown, requestId: string): S3Error {
  if (error instanceof S3Error) return error
  if (error instanceof ObjectError || error instanceof SignatureError) return new S3Error(error.code, error.message)
  if (error instanceof DomainError && domainErrors[error.code]) return new S3Error(domainErrors[error.code]!, error.message)
  if (error instanceof PortError) {
    reportFailure(app, error, 'the blob store failed', { requestId }, 'warn')
    return portErrors[error.code as BlobErrorCode]
  }
  if (outageOf(error)) return slowDown('A component that this request requires is temporarily unavailable. Retry later.')
  reportFailure(app, error, 'an S3 request failed', { requestId })
  return new S3Error('InternalError', 'An internal error occurred. Retry the request.')
}
