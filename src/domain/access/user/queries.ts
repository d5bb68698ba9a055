import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { defineListing } from '../../../platform/listing.ts'

/** The members of the caller's organization. */
export const userListing = defineListing({
  type: 'User',
  table: 'user_account',
  noun: 'user',
  permission: 'view:members',
  order: 'oldest_first',
  nameColumn: 'email',
  omit: ['passwordHash'],
  audited: ['email', 'name', 'isAdministrator', 'deactivatedAt'],
  visible: (caller) => sql`exists (select 1 from member m where m.user_id = t.id and m.organization_id = ${caller.organizationId}::uuid)`,
})

/** Most owners that a notice is sent to. */
const maxOwners = 50

/** Mail addresses of the owners of an organization. */
export async function ownerAddresses(tx: Tx, organizationId: string): Promise<string[]> {
  const owners = await rows<{ email: string }>(
    tx,
    sql`select u.email from user_account u join member m on m.user_id = u.id
        join role r on r.organization_id = m.organization_id and r.id = m.role_id
        where m.organization_id = ${organizationId}::uuid and r.system = 'OWNER' and u.deactivated_at is null order by u.id limit ${maxOwners}`,
  )
  return owners.map(({ email }) => email)
}

/** The user of the caller, and the name of the organization that the caller acts in, if the caller may see it. */
export type CurrentUser = { id: string; email: string; name: string; createdAt: Date; version: number; organizationName: string | null }

export const currentUser = defineQuery({
  name: 'currentUser',
  description: 'User who is signed in or who created the API key. Null for Quayside itself.',
  permission: null,
  ids: {},
  input: z.object({}),
  async run({ tx, caller }): Promise<CurrentUser | null> {
    const shown = caller.permissions.has('view:organization')
    return row<CurrentUser>(
      tx,
      sql`select u.id, u.email, u.name, u.created_at, u.version, o.name as organization_name
          from user_account u left join organization o on o.id = ${caller.organizationId}::uuid and o.deleting_at is null and ${shown}
          where u.id = ${caller.userId}::uuid`,
    )
  },
})
