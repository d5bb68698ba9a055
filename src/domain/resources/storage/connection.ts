/** Connections of buckets to services: each has a key of its own, and the service receives it with the address of the bucket. */
import { z } from 'zod'
import type { Bucket, StorageKey } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { onEvents, type Reaction } from '../../../platform/events.ts'
import { keySchema } from '../../configuration/variable/index.ts'
import {
  type BindableKind,
  type BoundValue,
  connectResource,
  resourceBindingCreated,
  resourceBindingDeleted,
} from '../resource-binding/index.ts'
import { insertKey } from './key.ts'
import { lockBucket } from './lock.ts'
import { secretIdentity } from './model.ts'
import { storageAddress } from './queries.ts'

type Connected = Pick<StorageKey, 'id' | 'accessKeyId' | 'secret' | 'secretFingerprint' | 'createdAt' | 'createdBy'> & {
  bindingId: string
  bucketName: string
}

export const bindableBuckets: BindableKind = {
  type: 'Bucket',
  variables: (prefix) => ['ENDPOINT', 'REGION', 'BUCKET', 'ACCESS_KEY_ID', 'SECRET_ACCESS_KEY'].map((name) => `${prefix ?? 'S3'}_${name}`),
  async lock(work, id) {
    const bucket = await lockBucket(work, { id })
    return bucket && { id, projectId: null, environmentId: null }
  },
  async valuesOf({ app, tx }, bindings) {
    const found = await rows<Connected>(
      tx,
      sql`select k.id, k.access_key_id, k.secret, k.secret_fingerprint, k.created_at, k.created_by, k.resource_binding_id as binding_id, b.name as bucket_name
          from storage_key k join storage_key_bucket kb on kb.storage_key_id = k.id join bucket b on b.id = kb.bucket_id
          where k.resource_binding_id = any(${bindings.map(({ id }) => id)}::uuid[])`,
    )
    const { endpoint, region } = storageAddress(app)
    return new Map(
      found.map((key) => {
        const since = { version: 1, changedAt: key.createdAt, changedBy: key.createdBy, isShort: false }
        const shown = [endpoint, region, key.bucketName, key.accessKeyId].map(
          (plain): BoundValue => ({ value: { plain }, isSecret: false, ...since }),
        )
        const secret = { value: { identity: secretIdentity(key.id), sealed: key.secret }, fingerprint: key.secretFingerprint }
        return [key.bindingId, [...shown, { ...secret, isSecret: true, ...since }]]
      }),
    )
  },
}

export const connectBucket = defineCommand({
  name: 'connectBucket',
  description:
    'Connects a bucket to a service. From the next deployment on, the service receives the address of the bucket and a key of its own as variables. The key permits reading, writing and deleting objects, and is revoked when the bucket is disconnected. Fails with `key_taken` if another connected resource already gives the service a variable of the same name.',
  permission: 'manage:storage',
  ids: { bucketId: 'Bucket', webServiceId: 'WebService' },
  targetType: 'Bucket',
  target: (work, { bucketId }) => lockBucket(work, { id: bucketId! }),
  input: z.object({
    webServiceId: z.string(),
    prefix: keySchema.max(200, { error: 'must be at most 200 characters' }).nullish(),
  }),
  emits: [resourceBindingCreated],
  async run(work, { webServiceId, prefix }, bucket: Bucket) {
    const resource = { id: bucket.id, projectId: null, environmentId: null }
    const { resourceBinding, warnings } = await connectResource(work, {
      kind: bindableBuckets,
      resource,
      webServiceId,
      alias: prefix ?? null,
    })
    await insertKey(work, {
      ...{ kind: 'CONNECTION', name: bucket.name, bucketIds: [bucket.id], resourceBindingId: resourceBinding.id },
      permissions: { read: true, write: true, delete: true, admin: false },
    })
    return { resourceBinding, warnings }
  },
  audited: (_input, { resourceBinding }) => ({ resourceBindingId: resourceBinding.id, variables: resourceBinding.variables }),
})

/** The row of a connection's key goes with the row of the binding. */
const revokeWithBinding = onEvents(resourceBindingDeleted, async (work) => work.wake('credentials'))

export const reactions: Reaction[] = [revokeWithBinding]
