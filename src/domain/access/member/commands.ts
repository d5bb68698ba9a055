import { z } from 'zod'
import type { Role } from '../../../generated/prisma/client.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { defineCommand, demandPerson } from '../../../platform/command.ts'
import { assignments, row, run, type Sql, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { type EventDefinition, publish } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'
import { demandAuthority, demandOver, lockMembers } from './authority.ts'
import { memberErrors } from './errors.ts'
import { eventOf, memberLeft, memberRemoved, memberUpdated } from './events.ts'
import { type MemberRow, readMember } from './model.ts'
import { demandProjects, demandRole, maxProjects, placeInProjects } from './placement.ts'

export const projectIdsSchema = z.array(z.string()).max(maxProjects, { error: `must have at most ${maxProjects} items` })

export const updateMember = defineCommand({
  name: 'updateMember',
  description:
    'Changes the role of a member, or limits the member to certain projects. Omitted fields are left unchanged. The change applies to the API keys and sessions of the member at once. Fails with `forbidden` if the previous or the new role has a permission that the caller does not have, or if it is Owner and the caller is no owner, and with `last_owner` if no owner would remain.',
  permission: 'manage:members',
  ids: { id: 'Member', roleId: 'Role', 'projectIds.*': 'Project' },
  targetType: 'Member',
  target: (work, { id }) => lockMember(work, sql`t.id = ${id}::uuid`),
  input: z.object({ roleId: z.string().optional(), projectIds: projectIdsSchema.nullish() }),
  emits: [memberUpdated],
  async run(work, input, target: MemberRow) {
    const authority = await demandAuthority(work, 'manage:members')
    const former = await roleOf(work, target)
    demandOver(authority, former, 'id')
    const role = input.roleId === undefined ? former : await demandRole(work, authority, input.roleId)
    const projectIds = await demandProjects(work, role, input.projectIds === undefined ? target.projectIds : input.projectIds)
    if (former.system === 'OWNER' && role.system !== 'OWNER') await demandOtherOwner(work, target)
    return { member: await replace(work, target, { roleId: role.id, projectIds }) }
  },
})

export const removeMember = defineCommand({
  name: 'removeMember',
  description:
    "Removes a member from the organization and revokes the member's API keys. Fails with `forbidden` if the role of the member has a permission that the caller does not have, or if it is Owner and the caller is no owner, and with `last_owner` if no owner would remain.",
  permission: 'delete:members',
  ids: { id: 'Member' },
  targetType: 'Member',
  target: (work, { id }) => lockMember(work, sql`t.id = ${id}::uuid`),
  input: z.object({}),
  emits: [memberRemoved],
  async run(work, _input, target: MemberRow) {
    const authority = await demandAuthority(work, 'delete:members')
    demandOver(authority, await roleOf(work, target), 'id')
    return end(work, target, memberRemoved)
  },
})

export const leaveOrganization = defineCommand({
  name: 'leaveOrganization',
  description:
    "Ends the signed-in user's own membership in the organization and revokes the user's API keys there. Fails with `last_owner` if no owner would remain.",
  permission: null,
  ids: {},
  targetType: 'Member',
  target: lockOwn,
  input: z.object({}),
  emits: [memberLeft],
  run: (work, _input, target: MemberRow) => end(work, target, memberLeft),
})

export const transferOwnership = defineCommand({
  name: 'transferOwnership',
  description:
    'Makes another member an owner, who can access all projects, and the signed-in owner an Admin, in one step. Fails with `forbidden` unless the caller is an owner who is signed in.',
  permission: 'manage:members',
  ids: { memberId: 'Member' },
  targetType: 'Member',
  target: (work, { memberId }) => lockMember(work, sql`t.id = ${memberId}::uuid`),
  input: z.object({}),
  emits: [memberUpdated],
  async run(work, _input, target: MemberRow) {
    const own = (await lockOwn(work))!
    const { isOwner } = await demandAuthority(work, 'manage:members')
    if (!isOwner) throw errors.forbidden({ text: 'Only an owner of the organization can transfer its ownership.' })
    if (target.id === own.id) throw errors.invalid_input({ field: 'memberId', text: 'memberId: must be another member' })
    const [owner, admin] = [await systemRole(work, 'OWNER'), await systemRole(work, 'ADMIN')]
    const member = await replace(work, target, { roleId: owner.id, projectIds: null })
    const formerOwner = await replace(work, own, { roleId: admin.id, projectIds: null })
    writeAudit(work, { action: 'transferOwnership', target: { type: 'Member', before: own, after: formerOwner } })
    return { member, formerOwner }
  },
})

/** Locks a member of the organization, after all others who change members. */
async function lockMember(work: Work, condition: Sql): Promise<MemberRow | null> {
  await lockMembers(work)
  return readMember(work.tx, sql`${condition} and t.organization_id = ${work.caller.organizationId}::uuid for update`)
}

/** Throws `forbidden` for a caller that is no signed-in member. */
async function lockOwn(work: Work): Promise<MemberRow> {
  const own = await lockMember(work, sql`t.user_id = ${demandPerson(work.caller)}::uuid`)
  if (!own) throw errors.forbidden({ text: 'You are not a member of this organization.' })
  return own
}

const roleOf = async ({ tx }: Work, { roleId, organizationId }: MemberRow): Promise<Role> =>
  (await row<Role>(tx, sql`select * from role where id = ${roleId}::uuid and organization_id = ${organizationId}::uuid for share`))!

const systemRole = async ({ tx, caller }: Work, system: 'OWNER' | 'ADMIN'): Promise<Role> =>
  (await row<Role>(tx, sql`select * from role where organization_id = ${caller.organizationId}::uuid and system = ${system}::system_role`))!

/** Throws `last_owner` unless a member other than this one is an owner. Holds until the commit, by the lock. */
async function demandOtherOwner({ tx, caller }: Work, { id }: MemberRow): Promise<void> {
  const other = await row(
    tx,
    sql`select 1 as one from member m join role r on r.organization_id = m.organization_id and r.id = m.role_id
        where m.organization_id = ${caller.organizationId}::uuid and m.id <> ${id}::uuid and r.system = 'OWNER' limit 1`,
  )
  if (!other) throw memberErrors.last_owner()
}

type Change = { roleId: string; projectIds: string[] | null }

async function replace(work: Work, member: MemberRow, { roleId, projectIds }: Change): Promise<MemberRow> {
  if (member.roleId === roleId && String(member.projectIds) === String(projectIds)) return member
  await placeInProjects(work, member.id, projectIds)
  const set = assignments({ roleId, projectsLimited: projectIds !== null })
  await run(work.tx, sql`update member set ${set}, version = version + 1 where id = ${member.id}::uuid`)
  const changed = (await readMember(work.tx, sql`t.id = ${member.id}::uuid`))!
  await publish(work, memberUpdated, eventOf(changed))
  work.wake('credentials')
  return changed
}

/** Deletes a membership. Other concepts end what depends on it in their reactions. */
async function end(work: Work, member: MemberRow, event: EventDefinition<ReturnType<typeof eventOf>['data']>) {
  if ((await roleOf(work, member)).system === 'OWNER') await demandOtherOwner(work, member)
  await publish(work, event, eventOf(member))
  await run(work.tx, sql`delete from member where id = ${member.id}::uuid`)
  work.wake('credentials')
  return { deletedId: member.id }
}
