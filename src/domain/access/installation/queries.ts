/** What administrators see of the whole installation. */
import { z } from 'zod'
import { administration, type Caller } from '../../../platform/access.ts'
import { defineQuery } from '../../../platform/command.ts'
import { type Sql, sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'
import { auditEntryListing, prepareAuditLog } from '../audit-log/index.ts'

/** These listings show what belongs to every organization, so they demand the permission themselves too. */
const visible = (caller: Caller): Sql => sql`${caller.permissions.has(administration)}`

/** The pattern that finds a text anywhere, whichever characters it has. */
const containing = (text: string): string => `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`

const longestSearch = 200

export const adminUserListing = defineListing({
  type: 'User',
  table: 'user_account',
  noun: 'user',
  description: 'Users of the installation, oldest first. For administrators of the installation.',
  permission: administration,
  order: 'oldest_first',
  nameColumn: 'email',
  omit: ['passwordHash'],
  visible,
  computed: {
    organizationCount: () =>
      sql`(select count(*)::int from member m join organization o on o.id = m.organization_id and o.deleting_at is null where m.user_id = t.id)`,
    totpEnabled: () => sql`exists (select 1 from totp f where f.user_id = t.id and f.enabled_at is not null)`,
  },
  filter: { search: z.string().trim().max(longestSearch).nullish() },
  where: ({ search }) => (search ? [sql`(t.email ilike ${containing(search)} or t.name ilike ${containing(search)})`] : []),
})

export type AdminUserRow = Awaited<ReturnType<typeof adminUserListing.read>>[number] & { organizationCount: number; totpEnabled: boolean }

export const adminOrganizationListing = defineListing({
  type: 'Organization',
  noun: 'organization',
  description: 'Organizations of the installation, oldest first. For administrators of the installation.',
  permission: administration,
  order: 'oldest_first',
  visible,
  computed: { memberCount: () => sql`(select count(*)::int from member m where m.organization_id = t.id)` },
})

export type AdminOrganizationRow = Awaited<ReturnType<typeof adminOrganizationListing.read>>[number] & { memberCount: number }

export const listAdminUsers = listQuery(adminUserListing, 'adminUsers')
export const countAdminUsers = countQuery(adminUserListing, 'adminUserCount')
export const listAdminOrganizations = listQuery(adminOrganizationListing, 'adminOrganizations')
export const countAdminOrganizations = countQuery(adminOrganizationListing, 'adminOrganizationCount')

/** The log of what is done in no organization, which administrators read. */
export const adminAuditListing = {
  ...auditEntryListing,
  description: 'Audit entries of the installation, newest first: what administrators did. For administrators of the installation.',
  permission: administration,
}

export const listAdminAuditLog = listQuery(adminAuditListing, 'adminAuditLog')
export const countAdminAuditLog = countQuery(adminAuditListing, 'adminAuditEntryCount')
export const prepareAdminAuditLog = defineQuery({ ...prepareAuditLog, name: 'adminAuditLogReady', permission: administration })
