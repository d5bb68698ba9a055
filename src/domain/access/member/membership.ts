/** What a membership allows, for everyone who has to derive a caller from it: API keys, sessions, download links. */
import type { Role } from '../../../generated/prisma/client.ts'
import type { Caller, Permission } from '../../../platform/access.ts'
import { type Sql, sql } from '../../../platform/db/index.ts'
import { permissionsOf } from '../role/index.ts'

/** A membership as `membershipColumns` reads it. */
export type Membership = {
  roleSystem: Role['system']
  rolePermissions: string[]
  /** Null: all projects. */
  memberProjectIds: string[] | null
  /** Whether the organization is being deleted, as the member requested. */
  isLeaving: boolean
}

/**
 * Members `m` with their roles `r` and organizations `home`, without users who were deactivated. While an organization is being deleted, only the
 * member who requested it remains.
 */
export const memberships: Sql = sql`member m join role r on r.organization_id = m.organization_id and r.id = m.role_id
  join user_account person on person.id = m.user_id and person.deactivated_at is null
  join organization home on home.id = m.organization_id and (home.deleting_at is null or home.deletion_requested_by = m.user_id)`

/**
 * Order of the memberships of a user: the active organization first, which is the one that the user switched to last, or joined first. One
 * whose deletion the user requested is the last resort, so that the user can follow that.
 */
export const activeFirst: Sql = sql`home.deleting_at is not null, m.activated_at desc nulls last, m.id`

/** To be selected from `memberships`. */
export const membershipColumns: Sql = sql`r.system as role_system, r.permissions as role_permissions,
  home.deleting_at is not null as is_leaving,
  case when m.projects_limited then array(select p.project_id::text from member_project p where p.member_id = m.id order by 1) end
  as member_project_ids`

/** What is left to see of an organization that is being deleted: the operation. */
const rightsWhenLeaving: ReadonlySet<Permission> = new Set(['view:organization'])

/** The rights of a member. */
export const rightsOf = (membership: Membership): { permissions: ReadonlySet<Permission>; projectIds: Caller['projectIds'] } => ({
  permissions: membership.isLeaving
    ? rightsWhenLeaving
    : permissionsOf({ system: membership.roleSystem, permissions: membership.rolePermissions }),
  projectIds: membership.memberProjectIds,
})

/** The projects of a credential that is limited to one: none if its user has lost access to that project. */
export const withinProject = (projectIds: Caller['projectIds'], projectId: string | null): Caller['projectIds'] =>
  projectId === null ? projectIds : projectIds === null || projectIds.includes(projectId) ? [projectId] : []
