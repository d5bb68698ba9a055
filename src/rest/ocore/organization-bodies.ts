/** Schemas of the bodies of the organization, its members, invitations and roles, and how rows become bodies. */
import { z } from 'zod'
import { countMembersByRole, type MemberOverview, memberOverviews } from '../../domain/access/member/index.ts'
import { permissionsOf } from '../../domain/access/role/index.ts'
import { errors } from '../../platform/errors.ts'
import type { Named, View } from '../core/index.ts'
import { id, time, timeOf } from './field.ts'
import { listOf } from './page.ts'

const organization = z
  .object({
    id,
    name: z.string(),
    slug: z.string().describe('Slug, as in `X-Org-Slug`.'),
    logoUrl: z.null().describe('Always null: organizations have no logo.'),
    createdAt: time,
    updatedAt: time,
  })
  .describe('An organization.')

const member = z
  .object({
    id,
    user: z.object({ id, name: z.string(), email: z.string() }),
    role: z.object({ id, name: z.string() }),
    joinedAt: time,
  })
  .describe('A member of the organization.')

const invitation = z
  .object({
    id,
    email: z.string(),
    status: z.literal('pending'),
    expiresAt: time.describe('Time until which the invitation can be accepted.'),
    link: z
      .string()
      .nullable()
      .describe('Link that was mailed. Returned only once; null in a repeated response to the same idempotency key.'),
  })
  .describe('A pending invitation.')

const role = z
  .object({
    id,
    name: z.string(),
    description: z.string().nullable(),
    isSystem: z.boolean().describe('Whether every organization has the role, and it cannot be changed.'),
    permissions: z.array(z.string()).describe('IDs of permissions.'),
    memberCount: z.int().min(0).describe('Number of members with this role.'),
  })
  .describe('A role.')

const permission = z
  .object({
    id: z.string().describe('ID of the permission, `<action>:<resource>`.'),
    action: z.string(),
    resource: z.string(),
    description: z.string().describe('What the permission allows.'),
  })
  .describe('Something that a role or an API key can permit.')

export const organizationSchemas = {
  organization,
  member,
  memberList: listOf(member).describe('A page of members, oldest first.'),
  invitation,
  role,
  roleList: listOf(role).describe('A page of roles, oldest first.'),
  permissionList: listOf(permission).describe('All permissions.'),
}

export const organizationBodies: Named[] = [
  { id: 'Organization', schema: organization },
  { id: 'Member', schema: member },
  { id: 'MemberList', schema: organizationSchemas.memberList },
  { id: 'Invitation', schema: invitation },
  { id: 'Role', schema: role },
  { id: 'RoleList', schema: organizationSchemas.roleList },
  { id: 'Permission', schema: permission },
  { id: 'PermissionList', schema: organizationSchemas.permissionList },
]

type OrganizationRow = { id: string; name: string; slug: string; createdAt: Date; updatedAt: Date }

export const organizationBody = ({ id, name, slug, createdAt, updatedAt }: OrganizationRow): z.output<typeof organization> => ({
  ...{ id, name, slug, logoUrl: null, createdAt: timeOf(createdAt), updatedAt: timeOf(updatedAt) },
})

type MemberRow = { id: string; createdAt: Date }

const memberBody = (row: MemberRow, { userId, userName, email, roleId, roleName }: MemberOverview): z.output<typeof member> => ({
  id: row.id,
  user: { id: userId, name: userName, email },
  role: { id: roleId, name: roleName },
  joinedAt: timeOf(row.createdAt),
})

/** One statement for any number of rows. A member who was removed since the row was read is left out. */
export async function memberBodies(rows: readonly MemberRow[], { ask }: View): Promise<z.output<typeof member>[]> {
  const overviews = await ask(memberOverviews, { ids: rows.map(({ id }) => id) })
  return rows.flatMap((row) => {
    const seen = overviews.get(row.id)
    return seen ? [memberBody(row, seen)] : []
  })
}

/** Throws `not_found` if the member was removed since the row was read. */
export async function oneMember(row: MemberRow, view: View): Promise<z.output<typeof member>> {
  const [body] = await memberBodies([row], view)
  if (!body) throw errors.not_found()
  return body
}

type InvitationRow = { invitation: { id: string; email: string; expiresAt: Date }; link: string | null }

export const invitationBody = ({ invitation: { id, email, expiresAt }, link }: InvitationRow): z.output<typeof invitation> => ({
  ...{ id, email, status: 'pending', expiresAt: timeOf(expiresAt), link },
})

export type RoleRow = Parameters<typeof permissionsOf>[0] & { id: string; name: string; description: string | null }

/** One statement for any number of rows. */
export async function roleBodies(rows: readonly RoleRow[], { ask }: View): Promise<z.output<typeof role>[]> {
  const counts = await ask(countMembersByRole, { roleIds: rows.map(({ id }) => id) })
  return rows.map((row, index) => ({
    ...{ id: row.id, name: row.name, description: row.description, isSystem: row.system !== null },
    permissions: [...permissionsOf(row)],
    memberCount: counts[index]!,
  }))
}

export const permissionBody = ({ name, description }: { name: string; description: string }): z.output<typeof permission> => {
  const [action, resource] = name.split(':') as [string, string]
  return { id: name, action, resource, description }
}
