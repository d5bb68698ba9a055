/** Rows of keys. */
import type { StorageKey, StorageKeyKind } from '../../../generated/prisma/client.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { generateAccessKey, type StoragePermissions, secretIdentity } from './model.ts'

type NewKey = {
  kind: StorageKeyKind
  name: string
  bucketIds: readonly string[]
  permissions: StoragePermissions
  /** The connection of a CONNECTION key. */
  resourceBindingId?: string
}

/** Adds a key for buckets of the caller's organization. */
export async function insertKey(
  work: Work,
  { kind, name, bucketIds, permissions, resourceBindingId }: NewKey,
): Promise<{ storageKey: StorageKey; secretAccessKey: string }> {
  const { app, tx, caller } = work
  const { organizationId } = caller
  const [id, { accessKeyId, secretAccessKey }] = [newId(), generateAccessKey()]
  const data = {
    ...{ id, organizationId, kind, name, accessKeyId, resourceBindingId, createdBy: caller.subject.name },
    secret: await app.keyring.seal(tx, organizationId, secretIdentity(id), secretAccessKey),
    secretFingerprint: await app.keyring.fingerprint(tx, organizationId, secretAccessKey),
    ...{ canRead: permissions.read, canWrite: permissions.write, canDelete: permissions.delete, canAdmin: permissions.admin },
  }
  const storageKey = (await row<StorageKey>(tx, sql`insert into storage_key ${newRow(data)} returning *`))!
  await run(
    tx,
    sql`insert into storage_key_bucket (storage_key_id, bucket_id, organization_id)
        select ${id}::uuid, bucket_id, ${organizationId}::uuid from unnest(${bucketIds}::uuid[]) as b(bucket_id)`,
  )
  return { storageKey, secretAccessKey }
}
