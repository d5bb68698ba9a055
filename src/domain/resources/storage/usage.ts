/** Counters of what buckets contain. They change in the transaction that adds or removes objects. */

import type { Tx } from '../../../platform/db/index.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { App } from '../../../platform/work.ts'
import { storageErrors } from './errors.ts'

export type Usage = { bytes: number; objects: number }

/**
 * Adds to the counters of a bucket and of its organization. Throws `storage_quota_exceeded` if the size would grow beyond the quota, and
 * `not_found` if the bucket does not exist or, unless something is removed, is being deleted. Locks the organization's counter until the commit, so it
 * should be a transaction's last statement.
 */
export async function applyUsage(
  { app, tx }: { app: App; tx: Tx },
  bucket: { id: string; organizationId: string },
  { bytes, objects }: Usage,
): Promise<void> {
  const quota = app.settings.STORAGE_MAX_BYTES
  const isRemoval = bytes <= 0 && objects <= 0
  const { fits, found } = (await row<{ fits: boolean; found: boolean }>(
    tx,
    sql`with tenant as (
          update storage_tenant set used_bytes = greatest(0, used_bytes + ${bytes}::float8)
          where organization_id = ${bucket.organizationId}::uuid and (${bytes}::float8 <= 0 or used_bytes + ${bytes}::float8 <= ${quota}::float8)
          returning organization_id),
        counted as (
          update bucket b set size_bytes = greatest(0, b.size_bytes + ${bytes}::float8), object_count = greatest(0, b.object_count + ${objects}::int)
          from tenant t where b.id = ${bucket.id}::uuid and b.organization_id = t.organization_id and (${isRemoval} or b.deleting_at is null)
          returning b.id)
        select exists (select 1 from tenant) as fits, exists (select 1 from counted) as found`,
  ))!
  if (!fits) {
    throw storageErrors.storage_quota_exceeded({
      text: `The objects of the organization would exceed its storage quota of ${quota} bytes. Delete objects first.`,
      details: { maxBytes: quota },
    })
  }
  if (!found) throw errors.not_found()
}
