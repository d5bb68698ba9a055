import type { Role } from '../../../generated/prisma/client.ts'
import { type Permission, permissions, rolePermissions, type SystemRole } from '../../../platform/access.ts'
import { errors } from '../../../platform/errors.ts'

/** The system roles that every organization has, with what the API says of them. */
export const systemRoles: Record<SystemRole, { name: string; description: string }> = {
  OWNER: { name: 'Owner', description: 'All permissions, including deleting the organization.' },
  ADMIN: { name: 'Admin', description: 'All permissions except deleting the organization.' },
  DEVELOPER: {
    name: 'Developer',
    description: 'View everything, and manage everything except the organization, members, roles, API keys and audit logs.',
  },
  VIEWER: { name: 'Viewer', description: 'View everything, except values of secrets.' },
}

const known: ReadonlySet<string> = new Set(permissions)

/** Permissions of a role, in the order of platform/access. Those that this version no longer has are left out. */
export const permissionsOf = ({ system, permissions: own }: Pick<Role, 'system' | 'permissions'>): ReadonlySet<Permission> =>
  system ? rolePermissions(system) : new Set(own.filter((name): name is Permission => known.has(name)))

/** Nobody gives others more than they have, nor changes what exceeds it. Throws `forbidden` if a permission is missing. */
export function demandGrantable(own: ReadonlySet<Permission>, wanted: Iterable<Permission>, field: string): void {
  for (const permission of wanted)
    if (!own.has(permission))
      throw errors.forbidden({
        field,
        text: `This requires the permission ${permission}, which you do not have. You can only manage roles whose permissions you have.`,
        details: { permission },
      })
}
