import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { defineListing } from '../../../platform/listing.ts'

export const organizationListing = defineListing({
  type: 'Organization',
  noun: 'organization',
  permission: 'view:organization',
  order: 'oldest_first',
  audited: ['name', 'slug'],
  visible: (caller) => sql`t.id = ${caller.organizationId}::uuid and t.deleting_at is null`,
})

export const currentOrganization = defineQuery({
  name: 'organization',
  description: 'Organization of the caller.',
  permission: 'view:organization',
  ids: {},
  input: z.object({}),
  async run(read) {
    const [organization] = await organizationListing.find(read, [read.caller.organizationId])
    if (!organization) throw errors.not_found()
    return organization
  },
})
