import { z } from 'zod'
import type { WebService } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { join, row, sql } from '../../../platform/db/index.ts'
import { countOf, countsByParent, type Listing, pageOf, pageSchema, sliceInput, sliceOf } from '../../../platform/page.ts'
import { idOrSlug } from '../project/index.ts'

const filter = z.object({
  projectId: z.string().nullish(),
  environmentId: z.string().nullish(),
  kind: z.enum(['WEB', 'STATIC_SITE', 'WORKER', 'ODOO']).nullish(),
})
type Filter = z.infer<typeof filter>

export function webServiceListing(caller: Caller, { projectId, environmentId, kind }: Filter = {}): Listing {
  const conditions = [
    visible(caller, sql`t`),
    ...(projectId ? [sql`t.project_id = ${projectId}::uuid`] : []),
    ...(environmentId ? [sql`t.environment_id = ${environmentId}::uuid`] : []),
    ...(kind ? [sql`t.kind = ${kind}::web_service_kind`] : []),
  ]
  return { type: 'WebService', select: sql`t.* from web_service t`, where: join(conditions, ' and '), order: 'oldest_first' }
}

const ids = { projectId: 'Project', environmentId: 'Environment' } as const

export const listWebServices = defineQuery({
  name: 'webServices',
  description: 'Web services visible to the caller, oldest first.',
  permission: 'view:web_services',
  ids,
  input: filter.and(pageSchema),
  run: (read, input) => pageOf<WebService>(read.tx, webServiceListing(read.caller, input), input),
})

export const sliceWebServices = defineQuery({
  name: 'webServiceSlice',
  description: 'Web services visible to the caller by offset, with their total number.',
  permission: 'view:web_services',
  ids,
  input: filter.extend(sliceInput),
  run: (read, input) => sliceOf<WebService>(read.tx, webServiceListing(read.caller, input), input),
})

export const countWebServicesByProject = defineQuery({
  name: 'webServiceCountByProject',
  description: 'Number of web services of each of several projects, in the order of the projects.',
  permission: 'view:web_services',
  ids: { 'projectIds.*': 'Project' },
  input: z.object({ projectIds: z.array(z.string()) }),
  run: (read, { projectIds }) => countsByParent(read.tx, webServiceListing(read.caller), sql`t.project_id`, projectIds),
})

export const countWebServices = defineQuery({
  name: 'webServiceCount',
  description: 'Number of web services visible to the caller.',
  permission: 'view:web_services',
  ids,
  input: filter,
  run: (read, input) => countOf(read.tx, webServiceListing(read.caller, input)),
})

export const findWebService = defineQuery({
  name: 'webService',
  description: 'Web service with the given ID or slug. Null if it does not exist.',
  permission: 'view:web_services',
  ids: { id: 'WebService' },
  input: idOrSlug,
  run: (read, { id, slug }) =>
    row<WebService>(
      read.tx,
      sql`select t.* from web_service t where ${id ? sql`t.id = ${id}::uuid` : sql`t.slug = ${slug}`} and ${visible(read.caller, sql`t`)}`,
    ),
})
