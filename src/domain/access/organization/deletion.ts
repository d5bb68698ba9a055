/** The row of an organization that is being deleted, and what the platform keeps for it. */
import type { Organization } from '../../../generated/prisma/client.ts'
import { row, run, type Sql, sql } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { eraseEvents, eraseRest } from '../../../platform/erasure.ts'
import type { Work } from '../../../platform/work.ts'
import type { OrganizationContents } from './contents.ts'
import { organizationErrors } from './errors.ts'

/** Condition: the organization with this id is not being deleted. For credentials that do not depend on a membership. */
export const isLive = (organizationId: Sql): Sql =>
  sql`exists (select 1 from organization live where live.id = ${organizationId} and live.deleting_at is null)`

/**
 * Marks the caller's organization as being deleted: from the commit on, none of its credentials is valid. Throws `last_organization` if there is
 * no other one: one of two that are deleted at once remains.
 */
export async function markOrganizationDeleting(work: Work): Promise<void> {
  const { organizationId, userId } = work.caller
  await lock(work.tx, 'deletion of organizations')
  const other = await row(
    work.tx,
    sql`select 1 as one from organization where id <> ${organizationId}::uuid and deleting_at is null limit 1`,
  )
  if (!other) throw organizationErrors.last_organization()
  await run(
    work.tx,
    sql`update organization set deleting_at = app_now(), deletion_requested_by = ${userId}::uuid, version = version + 1
        where id = ${organizationId}::uuid`,
  )
  work.wake('credentials')
}

/**
 * Locks the caller's organization for the last transaction of its deletion. Null if it is gone. `endsInMs`: until when a request can be in
 * progress that was authenticated before the deletion.
 */
export const lockForRemoval = ({ app, tx, caller }: Work): Promise<(Organization & { endsInMs: number }) | null> =>
  row(
    tx,
    sql`select *, greatest(0, ceil(extract(epoch from deleting_at - app_now()) * 1000 + ${app.settings.REQUEST_TIMEOUT_MS}))::float8 as ends_in_ms
        from organization where id = ${caller.organizationId}::uuid for update`,
  )

export const removeOrganization = ({ tx, caller }: Work): Promise<number> =>
  run(tx, sql`delete from organization where id = ${caller.organizationId}::uuid`)

const eventsPerStep = 2_000

export const eventsOfOrganization: OrganizationContents = {
  name: 'events',
  phase: 'records',
  remove: async ({ tx, caller }) => ((await eraseEvents(tx, caller.organizationId, eventsPerStep)) < eventsPerStep ? 'done' : 'more'),
}

export const restOfOrganization: OrganizationContents = {
  name: 'keys and counters',
  phase: 'access',
  async remove({ tx, caller }) {
    await eraseRest(tx, caller.organizationId)
    return 'done'
  },
}
