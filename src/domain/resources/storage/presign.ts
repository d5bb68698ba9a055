import { z } from 'zod'
import type { Bucket, StorageKey } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { presign } from '../../../platform/s3-signature.ts'
import { lockBucket } from './lock.ts'
import { secretIdentity } from './model.ts'
import { storageAddress } from './queries.ts'

const maxKeyBytes = 1_024
const usualSeconds = 600

/** S3's rule, and no segment that a client or proxy would resolve, because the signed path must arrive unchanged. */
const objectKeySchema = z
  .string()
  .min(1, { error: 'must not be empty' })
  .refine((key) => Buffer.byteLength(key) <= maxKeyBytes, { error: `must be at most ${maxKeyBytes} bytes` })
  .regex(/^\P{Cc}*$/u, { error: 'must not contain control characters' })
  .refine((key) => !key.split('/').some((segment) => segment === '.' || segment === '..'), {
    error: 'must not contain the path segments . and ..',
  })

const contentTypeSchema = z
  .string()
  .max(255, { error: 'must be at most 255 characters' })
  .regex(/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+( *; *[\w-]+=("[^"\\\r\n]*"|[\w.+-]+))*$/, { error: 'must be a media type such as image/png' })

export const presignObject = defineCommand({
  name: 'presignObject',
  description:
    'Signs a URL with which anyone can read or store one object until it expires. The object need not exist yet. The URL stops working when the bucket is deleted.',
  permission: 'manage:storage',
  ids: { bucketId: 'Bucket' },
  targetType: 'Bucket',
  target: (work, { bucketId }) => lockBucket(work, { id: bucketId! }),
  input: z.object({
    key: objectKeySchema,
    method: z.enum(['GET', 'PUT'], { error: 'must be GET or PUT' }),
    expiresInSeconds: z.number().int().min(1).max(86_400).nullish(),
    contentType: contentTypeSchema.nullish(),
  }),
  emits: [],
  once: ['url'],
  async run({ app, tx }, { key, method, contentType, ...input }, bucket: Bucket) {
    const signing = (await row<Pick<StorageKey, 'id' | 'accessKeyId' | 'secret'>>(
      tx,
      sql`select k.id, k.access_key_id, k.secret from storage_key k join storage_key_bucket b on b.storage_key_id = k.id
          where b.bucket_id = ${bucket.id}::uuid and k.kind = 'PRESIGN'`,
    ))!
    // A signature states its time in seconds.
    const now = new Date(Math.floor(app.clock.now().getTime() / 1_000) * 1_000)
    const expiresInSeconds = input.expiresInSeconds ?? usualSeconds
    const { url, headers } = await presign({
      ...storageAddress(app),
      ...{ method, bucket: bucket.name, key, expiresInSeconds, contentType: contentType ?? null, now },
      accessKeyId: signing.accessKeyId,
      secretAccessKey: await app.keyring.open(tx, bucket.organizationId, secretIdentity(signing.id), signing.secret),
    })
    return { url: url as string | null, method, headers, expiresAt: new Date(now.getTime() + expiresInSeconds * 1_000) }
  },
  audited: ({ key, method }, { expiresAt }) => ({ key, method, expiresAt: expiresAt.toISOString() }),
})
