/**
 * The objects of buckets. Their index is in the database and their bytes are immutable blobs of a store, so that listings, conditions, copies,
 * parts and quotas are the same whatever the store is. Objects are reached by the S3 endpoint only, which checks the key and its permissions.
 */
import { defineConcept } from '../../../platform/concept.ts'
import { check } from '../../../platform/db/constraints.ts'
import { organizationContents } from '../../access/organization/index.ts'
import { bucketContents } from '../storage/index.ts'
import { objectsOfBuckets } from './bucket.ts'
import { expireUploads, purgeBlobs, recountBuckets } from './jobs.ts'
import { bytesOfOrganization } from './organization.ts'
import { blobStore } from './ports.ts'

export type { MultipartUpload, StoredObject } from '../../../generated/prisma/client.ts'
export type { Place, Upload } from './blob.ts'
export {
  type Checksum,
  type ChecksumAlgorithm,
  type ChecksumType,
  checksumAlgorithms,
  checksumBytes,
  createDigest,
} from './checksum.ts'
export { type Conditions, requireForReading } from './condition.ts'
export { noSuchKey, ObjectError, type ObjectErrorCode } from './errors.ts'
export { recount } from './jobs.ts'
export { type ListEntry, type Listed, listObjects } from './list.ts'
export { maxParts, maxUploadBytes, requireKey } from './model.ts'
export {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  findUpload,
  listParts,
  listUploads,
  type NamedPart,
  putPart,
} from './multipart.ts'
export { type BlobErrorCode, blobStore } from './ports.ts'
export { findObject, openObject, partSizes } from './read.ts'
export { type Attributes, checksumOf, copyObject, deleteObjects, putObject, type Written } from './write.ts'

const byBytes = (table: string) => ({
  name: `${table}_key_order`,
  create: `ALTER TABLE ${table} ALTER COLUMN key TYPE text COLLATE "C";`,
  drop: `ALTER TABLE ${table} ALTER COLUMN key TYPE text COLLATE "default";`,
})

export const storedObject = defineConcept({
  name: 'stored-object',
  ports: [blobStore],
  extensions: [organizationContents.with(bytesOfOrganization), bucketContents.with(objectsOfBuckets)],
  chores: [purgeBlobs, expireUploads, recountBuckets],
  constraints: [
    byBytes('stored_object'),
    byBytes('multipart_upload'),
    check(
      'stored_object',
      'checksum',
      '(checksum IS NULL) = (checksum_algorithm IS NULL) AND (checksum IS NULL) = (checksum_type IS NULL)',
    ),
    check('multipart_part', 'number', 'number BETWEEN 1 AND 10000'),
  ],
})
