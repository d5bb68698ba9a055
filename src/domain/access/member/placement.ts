/** Checked placements of members: the role and the projects that somebody gives to a member or to an invited person. */
import type { Role } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { type Authority, demandOver } from './authority.ts'
import { eventOf, memberJoined } from './events.ts'
import { type MemberRow, readMember } from './model.ts'

/** `projectIds` null: all projects. */
export type Placement = { roleId: string; projectIds: readonly string[] | null }

/** Most projects that a member can be limited to. */
export const maxProjects = 500

/** Locks the role against changes and checks that the caller may give it. Throws `not_found` and `forbidden`. */
export async function demandRole(work: Work, authority: Authority, roleId: string): Promise<Role> {
  const role = await row<Role>(
    work.tx,
    sql`select * from role where id = ${roleId}::uuid and organization_id = ${work.caller.organizationId}::uuid for share`,
  )
  if (!role) throw errors.not_found({ field: 'roleId' })
  demandOver(authority, role, 'roleId')
  return role
}

/** Checks that projects exist, and returns each once. Throws `not_found`, and `invalid_input` for an owner, who can access everything. */
export async function demandProjects(work: Work, role: Pick<Role, 'system'>, ids: readonly string[] | null): Promise<string[] | null> {
  if (ids === null) return null
  if (role.system === 'OWNER')
    throw errors.invalid_input({ field: 'projectIds', text: 'projectIds: must be null for an owner, who can access all projects' })
  const distinct = [...new Set(ids)].sort()
  const found = await rows(
    work.tx,
    sql`select id from project p where p.id = any(${distinct}::uuid[]) and p.organization_id = ${work.caller.organizationId}::uuid
          and p.deleting_at is null for key share`,
  )
  if (found.length < distinct.length) throw errors.not_found({ field: 'projectIds' })
  return distinct
}

/** Replaces the projects that a member is limited to. */
export async function placeInProjects({ tx, caller }: Work, memberId: string, projectIds: readonly string[] | null): Promise<void> {
  await run(tx, sql`delete from member_project where member_id = ${memberId}::uuid`)
  await run(
    tx,
    sql`insert into member_project (organization_id, member_id, project_id)
        select ${caller.organizationId}::uuid, ${memberId}::uuid, p from unnest(${projectIds ?? []}::uuid[]) p`,
  )
}

/** Adds a user to the caller's organization. The caller of this has checked the placement. Null if the user is a member already. */
export async function addMember(work: Work, userId: string, { roleId, projectIds }: Placement): Promise<MemberRow | null> {
  const { organizationId } = work.caller
  const id = newId()
  const added = await run(
    work.tx,
    sql`insert into member (id, organization_id, user_id, role_id, projects_limited)
        values (${id}::uuid, ${organizationId}::uuid, ${userId}::uuid, ${roleId}::uuid, ${projectIds !== null})
        on conflict (organization_id, user_id) do nothing`,
  )
  if (added === 0) return null
  await placeInProjects(work, id, projectIds)
  const member = (await readMember(work.tx, sql`t.id = ${id}::uuid`))!
  await publish(work, memberJoined, eventOf(member))
  work.wake('credentials')
  return member
}
