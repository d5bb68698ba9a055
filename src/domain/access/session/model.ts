import type { Session } from '../../../generated/prisma/client.ts'
import { administration, type Caller } from '../../../platform/access.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import type { Account } from '../user/index.ts'

/** A session without what its tokens are verified with. */
export type ShownSession = Omit<Session, 'tokenHash' | 'formerTokenHash' | 'formerSalt'>

/** How a person signed in. */
export type LoginMethod = 'password' | 'passkey' | 'sign_up'

/** What a person receives who signs in. */
export type Tokens = { accessToken: string; refreshToken: string; expiresIn: number; refreshExpiresIn: number }

export type SignedIn = Tokens & { user: Pick<Account, 'id' | 'email' | 'name'> }

/** A user before a session exists: without permissions. */
export const personOf = ({ id, name }: Pick<Account, 'id' | 'name'>, organizationId: string | null): Caller => ({
  subject: { type: 'user', id, name },
  userId: id,
  organizationId: organizationId ?? nilId,
  permissions: new Set(),
  apiKeyId: null,
  sessionId: null,
  projectIds: null,
})

const mostOrganizations = 20

/** The organizations of a user, the active one first. */
async function organizationsOf(tx: Tx, userId: string): Promise<string[]> {
  const found = await rows<{ organizationId: string }>(
    tx,
    sql`select m.organization_id from member m join organization o on o.id = m.organization_id
        where m.user_id = ${userId}::uuid and o.deleting_at is null
        order by m.activated_at desc nulls last, m.id limit ${mostOrganizations}`,
  )
  return found.map(({ organizationId }) => organizationId)
}

/**
 * Does the same in each organization of a user, on behalf of the user, of Quayside or of an administrator: what concerns an account is recorded
 * in all of them.
 */
export async function inOrganizations(
  work: Work,
  user: Pick<Account, 'id' | 'name'>,
  act: (work: Work) => Promise<unknown> | void,
): Promise<void> {
  const { caller } = work
  const isOther = caller.subject.type === 'system' || caller.permissions.has(administration)
  for (const organizationId of await organizationsOf(work.tx, user.id))
    await act({ ...work, caller: isOther ? { ...caller, organizationId } : personOf(user, organizationId) })
}
