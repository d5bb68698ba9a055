import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'

/** Something that a later concept keeps in buckets, such as objects. */
export type BucketContents = {
  isEmpty(tx: Tx, bucketId: string): Promise<boolean>
  /** Removes a limited number of items of a bucket that is being deleted. Returns whether none are left. */
  removeSome(work: Work, bucket: { id: string; organizationId: string }): Promise<boolean>
}

/** Whatever later concepts keep in buckets. */
export const bucketContents = defineExtensionPoint<BucketContents>('contents of buckets')
