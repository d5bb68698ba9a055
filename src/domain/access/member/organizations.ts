/** The organizations of a user, and which of them is the active one: that of requests that name none. */
import { z } from 'zod'
import type { Organization } from '../../../generated/prisma/client.ts'
import { defineCommand, demandPerson } from '../../../platform/command.ts'
import { row, run, type Sql, sql } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'
import type { Work } from '../../../platform/work.ts'
import { memberErrors } from './errors.ts'

/** Condition on the organization `t`: the user is a member of it. */
const joinedBy = (userId: string | null): Sql =>
  sql`t.deleting_at is null and exists (select 1 from member m where m.organization_id = t.id and m.user_id = ${userId}::uuid)`

/** An API key belongs to one organization and sees no other. */
export const ownOrganizations = defineListing({
  type: 'Organization',
  noun: 'organization',
  description: 'Organizations that the signed-in user is a member of, oldest first. For an API key, the organization of the key.',
  permission: 'view:organization',
  order: 'oldest_first',
  visible: ({ subject, userId, organizationId }) =>
    subject.type === 'user' ? joinedBy(userId) : sql`t.id = ${organizationId}::uuid and t.deleting_at is null`,
})

export const listOrganizations = listQuery(ownOrganizations)
export const countOrganizations = countQuery(ownOrganizations)

/** Makes an organization the active one of a user. Returns false if the user is not a member of it. */
export async function setActiveOrganization(work: Work, userId: string, organizationId: string): Promise<boolean> {
  const changed = await run(
    work.tx,
    sql`update member set activated_at = app_now() where user_id = ${userId}::uuid and organization_id = ${organizationId}::uuid`,
  )
  work.wake('credentials')
  return changed > 0
}

export const switchOrganization = defineCommand({
  name: 'switchOrganization',
  description:
    'Makes another organization the active one of the signed-in user: requests without the header `X-Org-Slug` act in it, and open streams of the former one end. Not for API keys, which belong to one organization.',
  permission: null,
  ids: { organizationId: 'Organization' },
  // Without a target type: the audit log of the former organization does not name the other one.
  targetType: null,
  target: ({ tx, caller }, ids) =>
    row<Organization>(
      tx,
      sql`select t.* from organization t where t.id = ${ids.organizationId}::uuid and ${joinedBy(demandPerson(caller))} for key share`,
    ),
  input: z.object({}),
  emits: [],
  async run(work, _input, organization: Organization) {
    await setActiveOrganization(work, work.caller.userId!, organization.id)
    return { organization }
  },
})

/** Throws `organization_limit` if a user owns as many organizations as allowed. One at a time is counted for a user. */
export async function demandRoomForOwner({ app, tx }: Work, userId: string): Promise<void> {
  await lock(tx, `owner ${userId}`)
  const limit = app.settings.ORGANIZATIONS_PER_OWNER
  const { n } = (await row<{ n: number }>(
    tx,
    sql`select count(*)::int as n from member m join role r on r.organization_id = m.organization_id and r.id = m.role_id
        where m.user_id = ${userId}::uuid and r.system = 'OWNER'`,
  ))!
  if (n < limit) return
  throw memberErrors.organization_limit({ text: `A user can own at most ${limit} organizations.`, details: { limit } })
}
