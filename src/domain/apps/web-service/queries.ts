import { z } from 'zod'
import type { WebService } from '../../../generated/prisma/client.ts'
import { defineQuery } from '../../../platform/command.ts'
import { row, sql, type Tx } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findBySlugQuery, listQuery, sliceQuery } from '../../../platform/listing.ts'

export const webServiceListing = defineListing({
  type: 'WebService',
  noun: 'web service',
  permission: 'view:web_services',
  order: 'oldest_first',
  audited: [
    'name',
    'slug',
    'kind',
    'projectId',
    'environmentId',
    'repositoryUrl',
    'sshKeyId',
    'branch',
    'rootDirectory',
    'buildCommand',
    'releaseCommand',
    'startCommand',
    'publishDirectory',
    'singlePage',
    'port',
    'healthCheckPath',
    'minInstances',
    'maxInstances',
    'queuePolicy',
    'buildTimeoutMs',
    'healthTimeoutMs',
    'shutdownGraceMs',
    'desiredState',
  ],
  filter: {
    projectId: z.string().nullish(),
    environmentId: z.string().nullish(),
    kind: z.enum(['WEB', 'STATIC_SITE', 'WORKER', 'ODOO']).nullish(),
  },
  ids: { projectId: 'Project', environmentId: 'Environment' },
  parents: ['environmentId', 'projectId'],
  where: ({ kind }) => (kind ? [sql`t.kind = ${kind}::web_service_kind`] : []),
})

export const listWebServices = listQuery(webServiceListing)
export const countWebServices = countQuery(webServiceListing)
export const sliceWebServices = sliceQuery(webServiceListing)
export const findWebService = findBySlugQuery(webServiceListing)

/** The service of a row that refers to it, regardless of who may see it. */
export const serviceOf = async (tx: Tx, { webServiceId }: { webServiceId: string }): Promise<WebService> =>
  (await row<WebService>(tx, sql`select * from web_service where id = ${webServiceId}::uuid`))!

export const countWebServicesByProject = defineQuery({
  name: 'webServiceCountByProject',
  description: 'Number of web services of each of several projects, in the order of the projects.',
  permission: 'view:web_services',
  ids: { 'projectIds.*': 'Project' },
  input: z.object({ projectIds: z.array(z.string()) }),
  run: (read, { projectIds }) => webServiceListing.countsBelow(read, { parent: 'projectId', parentIds: projectIds, filter: {} }),
})
