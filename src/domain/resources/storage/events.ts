import { z } from 'zod'
import type { Bucket, StorageKey } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const bucketPayload = z.object({
  bucketId: z.string().describe('ID of the bucket.'),
  name: z.string().describe('Name of the bucket.'),
  public: z.boolean().describe('Whether the objects of the bucket can be read without a key.'),
})
const bucketSample = { bucketId: 'bkt_01h455vb4pex5vsknk084sn02q', name: 'acme-photos', public: false }

const bucketEvent = (name: string, description: string) =>
  defineEvent({ type: `bucket.${name}`, version: 1, description, subject: 'Bucket', schema: bucketPayload, sample: bucketSample })

export const bucketCreated = bucketEvent('created', 'A bucket was created.')
export const bucketUpdated = bucketEvent('updated', 'The settings of a bucket changed.')
export const bucketDeleted = bucketEvent('deleted', 'A bucket was deleted with its objects.')

export const bucketEventOf = ({ id, name, public: isPublic }: Bucket) => ({
  subjectId: id,
  projectId: null,
  data: { bucketId: encodeId('Bucket', id), name, public: isPublic },
})

const keyPayload = z.object({
  storageKeyId: z.string().describe('ID of the storage key.'),
  name: z.string().describe('Name of the storage key.'),
  accessKeyId: z.string().describe('Access key ID, which is not secret.'),
})
const keySample = { storageKeyId: 'skey_01h455vb4pex5vsknk084sn02q', name: 'uploads', accessKeyId: 'QSIVSZUTS3J3ZLXXAEJQ' }

const keyEvent = (name: string, description: string) =>
  defineEvent({ type: `storage_key.${name}`, version: 1, description, subject: 'StorageKey', schema: keyPayload, sample: keySample })

export const storageKeyCreated = keyEvent('created', 'A storage key was created.')
export const storageKeyRevoked = keyEvent('revoked', 'A storage key was deleted and no longer works.')

export const keyEventOf = ({ id, name, accessKeyId }: Pick<StorageKey, 'id' | 'name' | 'accessKeyId'>) => ({
  subjectId: id,
  projectId: null,
  data: { storageKeyId: encodeId('StorageKey', id), name, accessKeyId },
})
