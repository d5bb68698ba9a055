import { z } from 'zod'
import type { Organization } from '../../../generated/prisma/client.ts'
import { systemCaller } from '../../../platform/access.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { changes, defineCommand, demandOrganization, demandPerson } from '../../../platform/command.ts'
import { assignments, newRow, row, run, sql, violated } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import { nameSchema, slugFrom, slugSchema } from '../../../platform/name.ts'
import { insertWithSlug, slugErrors } from '../../../platform/slug.ts'
import { type App, transact, type Work } from '../../../platform/work.ts'
import { organizationCreated, organizationUpdated } from './events.ts'

export type NewOrganization = { id?: string; name: string; slug?: string | null | undefined }

/**
 * Adds an organization, whose owner is the user of the caller. Later concepts react to its event: they add what every organization has. Its
 * audit log begins with the creation, as `action`. Without a slug, one is made from the name.
 */
export async function insertOrganization(work: Work, { id = newId(), name, slug }: NewOrganization, action: string): Promise<Organization> {
  const organization = await insertWithSlug({ requested: slug, generated: slugFrom(name, 'organization') }, (candidate) =>
    row<Organization>(
      work.tx,
      sql`insert into organization ${newRow({ id, name, slug: candidate })} on conflict (slug) do nothing returning *`,
    ),
  )
  // The caller may act in another organization, which must learn nothing of this one.
  const within: Work = { ...work, caller: { ...work.caller, organizationId: id } }
  await publish(within, organizationCreated, eventOf(organization))
  writeAudit(within, { action, target: { type: 'Organization', before: null, after: organization } })
  return organization
}

export const createOrganization = defineCommand({
  name: 'createOrganization',
  description:
    'Creates an organization and makes the caller its owner. The caller stays in the current organization: use `switchOrganization`, or send the header `X-Org-Slug`. Only a signed-in user can create an organization, not an API key. Fails with `organization_limit` if the user owns as many organizations as allowed.',
  permission: null,
  ids: {},
  targetType: null,
  input: z.object({ name: nameSchema, slug: slugSchema.nullish() }),
  emits: [organizationCreated],
  async run(work, input) {
    demandPerson(work.caller)
    return { organization: await insertOrganization(work, input, 'createOrganization') }
  },
})

export const updateOrganization = defineCommand({
  name: 'updateOrganization',
  description:
    'Updates the name or slug of the current organization. An update that changes nothing returns the organization unchanged. Fails with `slug_taken` if another organization has this slug.',
  permission: 'manage:organization',
  ids: {},
  targetType: 'Organization',
  target: ({ tx, caller }) =>
    row<Organization>(tx, sql`select * from organization where id = ${caller.organizationId}::uuid and deleting_at is null for update`),
  input: z.object({ name: nameSchema.optional(), slug: slugSchema.optional() }),
  emits: [organizationUpdated],
  async run(work, input, target: Organization) {
    demandOrganization(work.caller, 'change the organization')
    if (!changes(target, input)) return { organization: target }
    const organization = await changeOrganization(work, target.id, input)
    await publish(work, organizationUpdated, eventOf(organization))
    return { organization }
  },
})

async function changeOrganization(work: Work, id: string, values: object): Promise<Organization> {
  try {
    return (await row<Organization>(
      work.tx,
      sql`update organization set ${assignments(values)}, version = version + 1 where id = ${id}::uuid returning *`,
    ))!
  } catch (error) {
    if (violated(error)?.kind === 'unique') throw slugErrors.slug_taken({ field: 'slug', cause: error })
    throw error
  }
}

const eventOf = ({ id, name, slug }: Organization) => ({
  subjectId: id,
  projectId: null,
  data: { organizationId: encodeId('Organization', id), name, slug },
})

export type FirstOwner = { organizationId: string; organizationSlug: string; userId: string; ownerEmail: string }

/**
 * Creates the first organization of an installation, with its owner, who administers the installation. Null if there is an organization already. Of several processes
 * that start at once, only one creates it.
 */
export async function bootstrapOrganization(app: App, id = newId()): Promise<FirstOwner | null> {
  const owner = { id: newId(), name: 'Owner', email: 'owner@quayside.localhost' }
  return transact(app, { ...systemCaller(id), userId: owner.id }, { emits: [organizationCreated] }, async (work) => {
    await lock(work.tx, 'quayside bootstrap')
    if (await row(work.tx, sql`select 1 as one from organization limit 1`)) return null
    await run(work.tx, sql`insert into user_account ${newRow({ ...owner, isAdministrator: true })}`)
    const { slug } = await insertOrganization(work, { id, name: 'Default', slug: 'default' }, 'bootstrapOrganization')
    return { organizationId: id, organizationSlug: slug, userId: owner.id, ownerEmail: owner.email }
  })
}
