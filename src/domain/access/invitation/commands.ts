import { z } from 'zod'
import { writeAudit } from '../../../platform/audit.ts'
import { defineCommand, demandOrganization, ofOrganization } from '../../../platform/command.ts'
import { newRow, row, rows, run, type Sql, sql } from '../../../platform/db/index.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { addressSchema } from '../mail/index.ts'
import { demandAuthority, demandProjects, demandRole, lockMembers, projectIdsSchema } from '../member/index.ts'
import { hashToken, isWithinLimit } from '../session/index.ts'
import { invitationErrors } from './errors.ts'
import { eventOf, memberInvited } from './events.ts'
import { linkOf, sendInvitation } from './mail.ts'
import { type InvitationRow, isPending, maxPending, newToken, readInvitation } from './model.ts'

export const inviteMember = defineCommand({
  name: 'inviteMember',
  description: `Invites a person to the organization by email. The link in the mail, which is also returned once, can be used once by a user with this email address, to sign up or to accept. A new invitation replaces a pending one to the same address. Fails with \`forbidden\` if the role has a permission that the caller does not have, or if it is Owner and the caller is no owner, and with \`invitation_limit\` if the organization has ${maxPending} pending invitations.`,
  permission: 'manage:members',
  ids: { roleId: 'Role', 'projectIds.*': 'Project' },
  targetType: 'Invitation',
  input: z.object({ email: addressSchema, roleId: z.string(), projectIds: projectIdsSchema.nullish() }),
  emits: [memberInvited],
  once: ['link'],
  async run(work, input) {
    await lockMembers(work)
    const authority = await demandAuthority(work, 'manage:members')
    const role = await demandRole(work, authority, input.roleId)
    const projectIds = await demandProjects(work, role, input.projectIds ?? null)
    await demandNoMember(work, input.email)
    await demandFewMails(work, input.email)
    await revokeAll(work, sql`t.email = ${input.email}`, 'replaced by a new invitation')
    await demandRoom(work)
    const token = newToken()
    const invitation = await insert(work, { email: input.email, roleId: role.id, projectIds }, token)
    await publish(work, memberInvited, eventOf(invitation))
    const link = linkOf(work.app, token)
    await sendInvitation(work, invitation, { link, roleName: role.name })
    return { invitation, link: link as string | null }
  },
})

export const revokeInvitation = defineCommand({
  name: 'revokeInvitation',
  description: 'Revokes a pending invitation, whose link no longer works. Fails with `invitation_invalid` if it is not pending.',
  permission: 'manage:members',
  ids: { id: 'Invitation' },
  targetType: 'Invitation',
  target: (work, { id }) => readInvitation(work.tx, sql`t.id = ${id}::uuid and ${ofOrganization(work.caller, sql`t`)} for update`),
  input: z.object({}),
  emits: [],
  async run(work, _input, target: InvitationRow) {
    demandOrganization(work.caller, 'manage members')
    const revoked = await run(work.tx, sql`update invitation t set revoked_at = app_now() where t.id = ${target.id}::uuid and ${isPending}`)
    if (revoked === 0)
      throw invitationErrors.invitation_invalid({ field: 'id', text: 'The invitation was accepted or revoked, or it has expired.' })
    return { invitation: (await readInvitation(work.tx, sql`t.id = ${target.id}::uuid`))! }
  },
})

/** Revokes the pending and the expired invitations `t` of the organization for which a condition holds, each with its own audit row. */
export async function revokeAll(work: Work, condition: Sql, reason: string): Promise<void> {
  const ended = await rows<{ id: string; email: string; revokedAt: Date }>(
    work.tx,
    sql`update invitation t set revoked_at = app_now() where t.organization_id = ${work.caller.organizationId}::uuid and ${condition}
          and t.accepted_at is null and t.revoked_at is null returning t.id, t.email, t.revoked_at`,
  )
  for (const after of ended) {
    const before = { ...after, revokedAt: null }
    writeAudit(work, { action: revokeInvitation.name, target: { type: 'Invitation', before, after }, details: { reason } })
  }
}

async function demandNoMember({ tx, caller }: Work, email: string): Promise<void> {
  const member = await row(
    tx,
    sql`select 1 as one from member m join user_account u on u.id = m.user_id
        where m.organization_id = ${caller.organizationId}::uuid and u.email = ${email}`,
  )
  if (member) throw invitationErrors.already_member({ field: 'email' })
}

/** Exact, because all who invite hold the lock on the members. */
async function demandRoom({ tx, caller }: Work): Promise<void> {
  const { n } = (await row<{ n: number }>(
    tx,
    sql`select count(*)::int as n from invitation t where t.organization_id = ${caller.organizationId}::uuid and ${isPending}`,
  ))!
  if (n >= maxPending) throw invitationErrors.invitation_limit()
}

/**
 * Whoever invites chooses what a stranger is mailed, so that these mails are few, in all organizations together. Counted in the transaction,
 * because a second connection for each invitation could use up all of them.
 */
async function demandFewMails({ app, tx, caller }: Work, email: string): Promise<void> {
  const isAllowed =
    (await isWithinLimit(app, 'invitation_address', email, tx)) && (await isWithinLimit(app, 'invitation_sender', caller.userId ?? '', tx))
  if (!isAllowed) throw invitationErrors.too_many_invitations({ field: 'email' })
}

type Invited = { email: string; roleId: string; projectIds: string[] | null }

async function insert({ app, tx, caller }: Work, { email, roleId, projectIds }: Invited, token: string): Promise<InvitationRow> {
  const { organizationId } = caller
  const fields = {
    ...{ id: newId(), organizationId, email, roleId, projectsLimited: projectIds !== null, tokenHash: hashToken(token) },
    ...{ invitedById: caller.userId, invitedBy: caller.subject.name },
    expiresAt: sql`app_now() + ${app.settings.INVITATION_EXPIRY_MS} * interval '1 millisecond'`,
  }
  await run(tx, sql`insert into invitation ${newRow(fields)}`)
  await run(
    tx,
    sql`insert into invitation_project (organization_id, invitation_id, project_id)
        select ${organizationId}::uuid, ${fields.id}::uuid, p from unnest(${projectIds ?? []}::uuid[]) p`,
  )
  return (await readInvitation(tx, sql`t.id = ${fields.id}::uuid`))!
}
