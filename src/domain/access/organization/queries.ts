import { z } from 'zod'
import type { Organization } from '../../../generated/prisma/client.ts'
import { defineQuery } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'

export const currentOrganization = defineQuery({
  name: 'organization',
  description: 'Organization of the caller.',
  permission: 'view:organization',
  ids: {},
  input: z.object({}),
  async run(read) {
    const organization = await row<Organization>(read.tx, sql`select * from organization where id = ${read.caller.organizationId}::uuid`)
    if (!organization) throw errors.not_found()
    return organization
  },
})
