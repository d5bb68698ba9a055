import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery, sliceQuery } from '../../../platform/listing.ts'

export const databaseListing = defineListing({
  type: 'Database',
  noun: 'database',
  permission: 'view:databases',
  order: 'oldest_first',
  audited: ['name', 'desiredState', 'maxConnections', 'settings', 'credentialsVersion', 'environmentId', 'projectId'],
  omit: ['password', 'superuserPassword', 'url', 'urlFingerprint'],
  filter: { projectId: z.string().nullish(), environmentId: z.string().nullish() },
  ids: { projectId: 'Project', environmentId: 'Environment' },
  parents: ['projectId'],
  where: ({ environmentId }) => (environmentId ? [sql`t.environment_id = ${environmentId}::uuid`] : []),
})

export const listDatabases = listQuery(databaseListing)
export const countDatabases = countQuery(databaseListing)
export const sliceDatabases = sliceQuery(databaseListing)
export const countDatabasesByProject = defineQuery({
  name: 'databaseCountByProject',
  description: 'Number of databases of each of several projects, in the order of the projects.',
  permission: 'view:databases',
  ids: { 'projectIds.*': 'Project' },
  input: z.object({ projectIds: z.array(z.string()) }),
  run: (read, { projectIds }) => databaseListing.countsBelow(read, { parent: 'projectId', parentIds: projectIds, filter: {} }),
})
export const findDatabase = findQuery(databaseListing)
