/** Members of an organization with the callers that they are when signed in, for tests of who may change whom. */
import { type Membership, membershipColumns, memberships, rightsOf } from '../../../src/domain/access/member/index.ts'
import { createRole } from '../../../src/domain/access/role/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import type { Caller, KeyScope, Permission, SystemRole } from '../../../src/platform/access.ts'
import { keyPermissions } from '../../../src/platform/access.ts'
import { execute } from '../../../src/platform/command.ts'
import { newRow, row, rows, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { request, type Tenant } from '../../support/tenant.ts'

export type Person = { memberId: string; userId: string; email: string; caller: Caller }

export const systemRole = async (app: App, { organizationId }: Pick<Tenant, 'organizationId'>, system: SystemRole): Promise<string> =>
  (await row<{ id: string }>(
    app.db,
    sql`select id from role where organization_id = ${organizationId}::uuid and system = ${system}::system_role`,
  ))!.id

export const customRole = async (app: App, { owner }: Tenant, permissions: Permission[]): Promise<string> =>
  (await execute(request(app, owner), createRole, { name: `role ${newId()}`, permissions })).role.id

export const newProject = async (app: App, { owner }: Tenant): Promise<string> =>
  (await execute(request(app, owner), createProject, { name: `project ${newId()}` })).project.id

export async function addUser(app: App, email = `${newId()}@example.com`): Promise<{ id: string; name: string; email: string }> {
  const user = { id: newId(), name: email.split('@')[0]!, email }
  await run(app.db, sql`insert into user_account ${newRow(user)}`)
  return user
}

/** Adds a member with a role and, unless null, limited to projects. */
export async function addPerson(app: App, tenant: Tenant, roleId: string, projectIds: string[] | null = null): Promise<Person> {
  const { organizationId } = tenant
  const { id: userId, email } = await addUser(app)
  const memberId = newId()
  await run(
    app.db,
    sql`insert into member ${newRow({ id: memberId, organizationId, userId, roleId, projectsLimited: projectIds !== null })}`,
  )
  for (const projectId of projectIds ?? [])
    await run(app.db, sql`insert into member_project ${newRow({ organizationId, memberId, projectId })}`)
  return { memberId, userId, email, caller: await callerOf(app, tenant, userId) }
}

/** The caller that a member is at this moment. */
export async function callerOf(app: App, { organizationId, owner }: Tenant, userId: string): Promise<Caller> {
  const membership = (await row<Membership>(
    app.db,
    sql`select ${membershipColumns} from ${memberships} where m.organization_id = ${organizationId}::uuid and m.user_id = ${userId}::uuid`,
  ))!
  return { ...owner, subject: { type: 'user', id: userId, name: 'Ada' }, userId, ...rightsOf(membership) }
}

/** A key of a caller. */
export const keyOf = (caller: Caller, scope: KeyScope): Caller => ({
  ...caller,
  subject: { type: 'api_key', id: newId(), name: scope },
  apiKeyId: newId(),
  permissions: keyPermissions(scope, caller.permissions),
})

export const ownMemberId = async (app: App, { owner, organizationId }: Tenant): Promise<string> =>
  (await row<{ id: string }>(
    app.db,
    sql`select id from member where user_id = ${owner.userId}::uuid and organization_id = ${organizationId}::uuid`,
  ))!.id

/** The role names of an organization's members, sorted. */
export const roleNames = async (app: App, { organizationId }: Tenant): Promise<string[]> =>
  (
    await rows<{ name: string }>(
      app.db,
      sql`select r.name from member m join role r on r.id = m.role_id where m.organization_id = ${organizationId}::uuid order by r.name`,
    )
  ).map(({ name }) => name)

/** Types of the events of a subject, in order. */
export const eventsOf = async (app: App, subjectId: string): Promise<string[]> =>
  (await rows<{ type: string }>(app.db, sql`select type from event where subject_id = ${subjectId}::uuid order by sequence`)).map(
    ({ type }) => type,
  )

export type Entry = { action: string; targetName: string | null; before: unknown; after: unknown; details: Record<string, unknown> }

export const auditOf = (app: App, targetId: string): Promise<Entry[]> =>
  rows<Entry>(
    app.db,
    sql`select action, target_name, before, after, details from audit_entry where target_id = ${targetId}::uuid order by id`,
  )
