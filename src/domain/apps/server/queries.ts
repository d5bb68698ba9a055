import type { Server } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { type Listing, pageOf, pageSchema } from '../../../platform/page.ts'

export const serverListing = (caller: Caller): Listing => ({
  type: 'Server',
  select: sql`t.* from server t`,
  where: sql`t.organization_id = ${caller.organizationId}::uuid`,
  order: 'oldest_first',
})

export const listServers = defineQuery({
  name: 'servers',
  description: 'Servers of the organization, oldest first.',
  permission: 'view:servers',
  ids: {},
  input: pageSchema,
  run: (read, page) => pageOf<Server>(read.tx, serverListing(read.caller), page),
})
