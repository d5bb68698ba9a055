import { sql } from '../../../platform/db/index.ts'
import { defineListing } from '../../../platform/listing.ts'

/** The members of the caller's organization. */
export const userListing = defineListing({
  type: 'User',
  table: 'user_account',
  noun: 'user',
  permission: 'view:members',
  order: 'oldest_first',
  visible: (caller) => sql`exists (select 1 from member m where m.user_id = t.id and m.organization_id = ${caller.organizationId}::uuid)`,
})
