import { rows, sql, type Tx } from '../../../platform/db/index.ts'
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
  audited: ['email', 'name'],
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
        where m.organization_id = ${organizationId}::uuid and r.system = 'OWNER' order by u.id limit ${maxOwners}`,
  )
  return owners.map(({ email }) => email)
}
