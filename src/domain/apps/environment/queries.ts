import { z } from 'zod'
import type { Environment } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { countOf, type Listing, pageOf, pageSchema } from '../../../platform/page.ts'

export const environmentListing = (caller: Caller, projectId?: string | null): Listing => ({
  type: 'Environment',
  select: sql`t.* from environment t`,
  where: projectId ? sql`${visible(caller, sql`t`)} and t.project_id = ${projectId}::uuid` : visible(caller, sql`t`),
  order: 'oldest_first',
})

const filter = z.object({ projectId: z.string().nullish() })

export const listEnvironments = defineQuery({
  name: 'environments',
  description: 'Environments visible to the caller, oldest first.',
  permission: 'view:environments',
  ids: { projectId: 'Project' },
  input: filter.and(pageSchema),
  run: (read, input) => pageOf<Environment>(read.tx, environmentListing(read.caller, input.projectId), input),
})

export const countEnvironments = defineQuery({
  name: 'environmentCount',
  description: 'Number of environments visible to the caller.',
  permission: 'view:environments',
  ids: { projectId: 'Project' },
  input: filter,
  run: (read, input) => countOf(read.tx, environmentListing(read.caller, input.projectId)),
})

export const findEnvironment = defineQuery({
  name: 'environment',
  description: 'Environment with the given ID. Null if it does not exist.',
  permission: 'view:environments',
  ids: { id: 'Environment' },
  input: z.object({ id: z.string() }),
  run: (read, { id }) =>
    row<Environment>(read.tx, sql`select t.* from environment t where t.id = ${id}::uuid and ${visible(read.caller, sql`t`)}`),
})
