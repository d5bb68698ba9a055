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
}

/** Members `m` with their roles `r`. */
export const memberships: Sql = sql`member m join role r on r.organization_id = m.organization_id and r.id = m.role_id`

/** To be selected from `memberships`. */
export const membershipColumns: Sql = sql`r.system as role_system, r.permissions as role_permissions,
  case when m.projects_limited then array(select p.project_id::text from member_project p where p.member_id = m.id order by 1) end
  as member_project_ids`

/** The rights of a member. */
export const rightsOf = (membership: Membership): { permissions: ReadonlySet<Permission>; projectIds: Caller['projectIds'] } => ({
  permissions: permissionsOf({ system: membership.roleSystem, permissions: membership.rolePermissions }),
  projectIds: membership.memberProjectIds,
})

/** The projects of a credential that is limited to one: none if its user has lost access to that project. */
export const withinProject = (projectIds: Caller['projectIds'], projectId: string | null): Caller['projectIds'] =>
  projectId === null ? projectIds : projectIds === null || projectIds.includes(projectId) ? [projectId] : []
