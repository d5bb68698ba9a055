import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'
import { shownOf } from './model.ts'

/** A caller that is limited to projects sees its own membership only. */
export const memberListing = defineListing({
  type: 'Member',
  noun: 'member',
  permission: 'view:members',
  order: 'oldest_first',
  nameColumn: 'email',
  audited: ['email', 'roleId', 'roleName', 'projectIds'],
  computed: { email: () => shownOf.email, roleName: () => shownOf.roleName, projectIds: () => shownOf.projectIds },
  visible: (caller) =>
    sql`t.organization_id = ${caller.organizationId}::uuid and (${caller.projectIds === null} or t.user_id = ${caller.userId}::uuid)`,
})

export const listMembers = listQuery(memberListing)
export const countMembers = countQuery(memberListing)
