import { z } from 'zod'
import type { StorageKey } from '../../../generated/prisma/client.ts'
import { defineCommand, demandOrganization, ofOrganization } from '../../../platform/command.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { decodeId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { keyEventOf, storageKeyCreated, storageKeyRevoked } from './events.ts'
import { insertKey } from './key.ts'
import { permissionsSchema } from './model.ts'
import type { StorageKeyRow } from './queries.ts'

/** A row without its sealed values, as results contain it. */
const shown = ({ secret, secretFingerprint, ...key }: StorageKey): StorageKeyRow => key

const maxBuckets = 100
const buckets = z
  .array(z.string())
  .min(1, { error: 'must not be empty' })
  .max(maxBuckets, { error: `must have at most ${maxBuckets} items` })

export const createStorageKey = defineCommand({
  name: 'createStorageKey',
  description:
    'Creates a key for one or several buckets, which S3 clients sign their requests with. The secret access key is returned only once, at creation.',
  permission: 'manage:storage',
  ids: { 'bucketIds.*': 'Bucket' },
  targetType: 'StorageKey',
  input: z
    .object({
      name: nameSchema,
      bucketIds: buckets.nullish(),
      /** IDs or names. */
      buckets: buckets.nullish(),
      permissions: permissionsSchema,
    })
    .refine((input) => Boolean(input.bucketIds) !== Boolean(input.buckets), { error: 'must be a list of buckets', path: ['buckets'] }),
  emits: [storageKeyCreated],
  once: ['secretAccessKey'],
  async run(work, { name, bucketIds, buckets: named, permissions }) {
    demandOrganization(work.caller, 'create storage keys')
    const found = await findBuckets(work, { ids: bucketIds ?? [], named: named ?? [] })
    const { storageKey, secretAccessKey } = await insertKey(work, { kind: 'USER', name, bucketIds: found.map(({ id }) => id), permissions })
    await publish(work, storageKeyCreated, keyEventOf(storageKey))
    return { storageKey: shown(storageKey), buckets: found.map((bucket) => bucket.name), secretAccessKey: secretAccessKey as string | null }
  },
  audited: (_input, { buckets }) => ({ buckets }),
})

type Named = { id: string; name: string }

/** The buckets with these ids, and those with these ids or names. Throws `not_found` if one of them does not exist. */
async function findBuckets(work: Work, { ids, named }: { ids: readonly string[]; named: readonly string[] }): Promise<Named[]> {
  const asked = [...ids.map((id) => ({ id, name: null })), ...named.map((name) => ({ id: decodeId('Bucket', name), name }))]
  const found = await rows<Named>(
    work.tx,
    sql`select b.id, b.name from bucket b
        where (b.id = any(${asked.map(({ id }) => id)}::uuid[]) or b.name = any(${named}::text[]))
          and ${ofOrganization(work.caller, sql`b`)} and b.deleting_at is null order by b.id for key share`,
  )
  const isMissing = ({ id, name }: (typeof asked)[number]) => !found.some((bucket) => bucket.id === id || bucket.name === name)
  if (asked.some(isMissing)) throw errors.not_found({ field: ids.length > 0 ? 'bucketIds' : 'buckets' })
  return found
}

export const deleteStorageKey = defineCommand({
  name: 'deleteStorageKey',
  description: 'Deletes a storage key. The S3 endpoint refuses it from the next request on, and with it the URLs that it has signed.',
  permission: 'delete:storage',
  ids: { id: 'StorageKey' },
  targetType: 'StorageKey',
  target: (work, { id }) =>
    row<StorageKey>(
      work.tx,
      sql`select k.* from storage_key k where k.id = ${id}::uuid and ${ofOrganization(work.caller, sql`k`)} and k.kind = 'USER' for update`,
    ),
  input: z.object({}),
  emits: [storageKeyRevoked],
  async run(work, _input, target: StorageKey) {
    await run(work.tx, sql`delete from storage_key where id = ${target.id}::uuid`)
    await publish(work, storageKeyRevoked, keyEventOf(target))
    work.wake('credentials')
    return { deletedId: target.id }
  },
})
