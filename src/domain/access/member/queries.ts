import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { rows, sql } from '../../../platform/db/index.ts'
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

/** The user and the role of a member. */
export type MemberOverview = { userId: string; userName: string; email: string; roleId: string; roleName: string }

export const memberOverviews = defineQuery({
  name: 'memberOverviews',
  description: 'Users and roles of several members, by ID of the member. Members not visible to the caller are omitted.',
  permission: 'view:members',
  ids: { 'ids.*': 'Member' },
  input: z.object({ ids: z.array(z.string()) }),
  async run({ tx, caller }, { ids }): Promise<Map<string, MemberOverview>> {
    const found = await rows<MemberOverview & { id: string }>(
      tx,
      sql`select t.id, t.user_id, u.name as user_name, u.email, t.role_id, ${shownOf.roleName} as role_name
          from member t join user_account u on u.id = t.user_id
          where t.id = any(${ids}::uuid[]) and ${memberListing.scope(caller, {})}`,
    )
    return new Map(found.map((overview) => [overview.id, overview]))
  },
})

export const countMembersByRole = defineQuery({
  name: 'memberCountByRole',
  description: 'Number of members with each of several roles, in the order of the roles.',
  permission: 'view:roles',
  ids: { 'roleIds.*': 'Role' },
  input: z.object({ roleIds: z.array(z.string()) }),
  run: (read, { roleIds }) => memberListing.countsBelow(read, { parent: 'roleId', parentIds: roleIds, filter: {} }),
})
