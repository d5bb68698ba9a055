/** Invitations: their tokens, and which of them can be accepted. */
import { randomBytes } from 'node:crypto'
import type { Invitation } from '../../../generated/prisma/client.ts'
import { row, type Sql, sql, type Tx } from '../../../platform/db/index.ts'

/** Pending invitations of one organization. */
export const maxPending = 100

/** A row without the hash of its token, with the projects that the invited person will be limited to; null means all projects. */
export type InvitationRow = Omit<Invitation, 'tokenHash'> & { projectIds: string[] | null }

/** 256 random bits. */
export const newToken = (): string => randomBytes(32).toString('base64url')

/** Whether a text may be a token, which needs no database. */
export const isToken = (text: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(text)

/** Holds for an invitation `t` that was neither accepted nor revoked and has not expired. */
export const isPending: Sql = sql`t.accepted_at is null and t.revoked_at is null and t.expires_at > app_now()`

/** Projects of an invitation `t`. */
export const projectIdsOf: Sql = sql`(case when t.projects_limited
  then array(select p.project_id::text from invitation_project p where p.invitation_id = t.id order by 1) end)`

/** The invitation `t` for which a condition holds. */
export async function readInvitation(tx: Tx, condition: Sql): Promise<InvitationRow | null> {
  const found = await row<Invitation & { projectIds: string[] | null }>(
    tx,
    sql`select t.*, ${projectIdsOf} as project_ids from invitation t where ${condition}`,
  )
  return found && shown(found)
}

const shown = ({ tokenHash, ...invitation }: Invitation & { projectIds: string[] | null }): InvitationRow => invitation
