import type { Bucket } from '../../../generated/prisma/client.ts'
import { ofOrganization } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'

/** Locks a bucket within the caller's scope. Null if it does not exist or is being deleted. */
export const lockBucket = (work: Work, { id }: Record<string, string>): Promise<Bucket | null> =>
  row<Bucket>(
    work.tx,
    sql`select b.* from bucket b where b.id = ${id}::uuid and ${ofOrganization(work.caller, sql`b`)} and b.deleting_at is null for update`,
  )
