/** Who may change which member. All changes of the members of an organization hold one lock, so that each sees the others' owners and rights. */
import type { Role } from '../../../generated/prisma/client.ts'
import type { Caller, Permission } from '../../../platform/access.ts'
import { demand, demandOrganization } from '../../../platform/command.ts'
import { row, sql, type Tx } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { errors } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'
import { demandGrantable, permissionsOf } from '../role/index.ts'
import { type Membership, membershipColumns, memberships, rightsOf } from './membership.ts'

/** What somebody may give to others. */
export type Authority = { permissions: ReadonlySet<Permission>; projectIds: Caller['projectIds']; isOwner: boolean }

export const lockMembers = ({ tx, caller }: Pick<Work, 'tx' | 'caller'>): Promise<void> => lock(tx, `members of ${caller.organizationId}`)

/** The authority of a user by its present membership; null if it has none. */
export async function authorityOfUser(tx: Tx, organizationId: string, userId: string | null): Promise<Authority | null> {
  const membership = await row<Membership>(
    tx,
    sql`select ${membershipColumns} from ${memberships} where m.organization_id = ${organizationId}::uuid and m.user_id = ${userId}::uuid`,
  )
  return membership && { ...rightsOf(membership), isOwner: membership.roleSystem === 'OWNER' }
}

/**
 * The authority of the caller at this moment: callers are remembered for a second. That of an API key is bounded by the key's permissions, and
 * only a key with all permissions acts as its owner. Throws `forbidden` if it does not, or no longer, suffice to manage members.
 */
export async function demandAuthority(work: Work, permission: Permission): Promise<Authority> {
  const { caller } = work
  const present = await authorityOfUser(work.tx, caller.organizationId, caller.userId)
  if (!present) throw errors.forbidden({ text: 'Only a member of the organization can manage its members.' })
  const permissions = new Set([...present.permissions].filter((name) => caller.permissions.has(name)))
  const isOwner = present.isOwner && permissions.size === present.permissions.size
  demand({ ...caller, permissions }, permission)
  for (const { projectIds } of [caller, present]) demandOrganization({ ...caller, projectIds }, 'manage members')
  return { permissions, projectIds: null, isOwner }
}

/** Throws `forbidden` unless a role may be given to others, or taken from them: it has no more permissions, and only owners make owners. */
export function demandOver(authority: Authority, role: Pick<Role, 'system' | 'permissions'>, field: string): void {
  if (role.system === 'OWNER' && !authority.isOwner)
    throw errors.forbidden({ field, text: 'Only an owner of the organization can do this to the role Owner.' })
  demandGrantable(authority.permissions, permissionsOf(role), field)
}

/** The same, as a condition. */
export function isOver(authority: Authority, role: Pick<Role, 'system' | 'permissions'>): boolean {
  if (role.system === 'OWNER' && !authority.isOwner) return false
  return [...permissionsOf(role)].every((permission) => authority.permissions.has(permission))
}
