import { systemCaller } from '../../../platform/access.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { row, run, sql } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import { type App, transact } from '../../../platform/work.ts'
import { organizationCreated } from './events.ts'

export type FirstOwner = { organizationId: string; organizationSlug: string; userId: string; ownerEmail: string }

/**
 * Creates the first organization of an installation, with its owner. Null if there is an organization already. Of several processes
 * that start at once, only one creates it.
 */
export async function bootstrapOrganization(app: App, id = newId()): Promise<FirstOwner | null> {
  const organization = { id, name: 'Default', slug: 'default' }
  const owner = { id: newId(), name: 'Owner', email: 'owner@quayside.localhost' }
  return transact(app, { ...systemCaller(organization.id), userId: owner.id }, { emits: [organizationCreated] }, async (work) => {
    await lock(work.tx, 'quayside bootstrap')
    if (await row(work.tx, sql`select 1 as one from organization limit 1`)) return null
    await run(
      work.tx,
      sql`insert into organization (id, name, slug) values (${organization.id}::uuid, ${organization.name}, ${organization.slug})`,
    )
    await run(work.tx, sql`insert into user_account (id, name, email) values (${owner.id}::uuid, ${owner.name}, ${owner.email})`)
    await publish(work, organizationCreated, {
      subjectId: organization.id,
      projectId: null,
      data: { organizationId: encodeId('Organization', organization.id), name: organization.name, slug: organization.slug },
    })
    writeAudit(work, { action: 'bootstrapOrganization', target: { type: 'Organization', before: null, after: organization } })
    return { organizationId: organization.id, organizationSlug: organization.slug, userId: owner.id, ownerEmail: owner.email }
  })
}
