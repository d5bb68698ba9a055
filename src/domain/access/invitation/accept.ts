/** What somebody who has the token of an invitation can do with it. */
import type { Invitation, Role } from '../../../generated/prisma/client.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { row, run, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import type { App, Work } from '../../../platform/work.ts'
import { addMember, authorityOfUser, isOver, lockMembers, type MemberRow } from '../member/index.ts'
import { hashToken } from '../session/index.ts'
import { invitationErrors } from './errors.ts'
import { isPending, isToken, projectIdsOf } from './model.ts'

/** What an invitation shows to whoever has its token. */
export type InvitationView = {
  organizationId: string
  organizationName: string
  email: string
  roleName: string
  expiresAt: Date
}

/**
 * Throws `invitation_invalid` for a token of no invitation that can be accepted now. Nothing tells whether the address has an account, because
 * whoever invites has the token too.
 */
export async function lookUpInvitation(app: App, token: string): Promise<InvitationView> {
  const { organizationId, organizationName, email, roleName, expiresAt } = await findValid(app.db, token)
  return { organizationId, organizationName, email, roleName, expiresAt }
}

/** The user who accepts. Whoever calls has verified that the person is this user. */
export type AcceptingUser = { id: string; name: string; email: string }

/**
 * Makes a user a member of the organization that an invitation is to, in the caller's transaction, which must emit `memberJoined`; so a user who
 * signs up can be created in the same one. Throws `invitation_invalid`, and `forbidden` for a user with another address.
 */
export async function acceptInvitation(work: Work, { token, user }: { token: string; user: AcceptingUser }): Promise<MemberRow> {
  const { organizationId } = await findValid(work.tx, token)
  const within = asMember(work, organizationId, user)
  await lockMembers(within)
  const invitation = await findValid(work.tx, token, sql`for update of t`)
  if (invitation.email !== user.email)
    throw errors.forbidden({ text: 'This invitation is for another email address. Sign in with that address to accept it.' })
  await run(work.tx, sql`update invitation set accepted_at = app_now() where id = ${invitation.id}::uuid`)
  const member = await addMember(within, user.id, invitation)
  if (!member) throw invitationErrors.invitation_invalid()
  writeAudit(within, {
    action: 'acceptInvitation',
    target: { type: 'Member', before: null, after: member },
    details: { invitationId: invitation.id },
  })
  return member
}

/** The same work on behalf of a user, in the organization that the user joins. */
const asMember = (work: Work, organizationId: string, { id, name }: AcceptingUser): Work => ({
  ...work,
  caller: { ...work.caller, subject: { type: 'user', id, name }, userId: id, apiKeyId: null, organizationId },
})

type Found = Invitation &
  Pick<Role, 'system' | 'permissions'> & {
    organizationName: string
    roleName: string
    projectIds: string[] | null
  }

/** Whoever invited must still have the right to. Every reason for which an invitation can't be accepted has the same error. */
async function findValid(tx: Tx, token: string, locking: Sql = sql``): Promise<Found> {
  const found = isToken(token) ? await find(tx, token, locking) : null
  const inviter = found && (await authorityOfUser(tx, found.organizationId, found.invitedById))
  const mayInvite = inviter?.projectIds === null && inviter.permissions.has('manage:members')
  if (!found || !mayInvite || !isOver(inviter, found)) throw invitationErrors.invitation_invalid()
  return found
}

const find = (tx: Tx, token: string, locking: Sql): Promise<Found | null> =>
  row<Found>(
    tx,
    sql`select t.*, ${projectIdsOf} as project_ids, o.name as organization_name, r.name as role_name, r.system, r.permissions
        from invitation t join organization o on o.id = t.organization_id and o.deleting_at is null
          join role r on r.organization_id = t.organization_id and r.id = t.role_id
        where t.token_hash = ${hashToken(token)} and ${isPending} ${locking}`,
  )
