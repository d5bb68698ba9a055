import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery, sliceQuery } from '../../../platform/listing.ts'

export const redisListing = defineListing({
  type: 'Redis',
  noun: 'Redis instance',
  permission: 'view:databases',
  order: 'oldest_first',
  omit: ['password', 'url', 'urlFingerprint'],
  filter: { projectId: z.string().nullish(), environmentId: z.string().nullish() },
  ids: { projectId: 'Project', environmentId: 'Environment' },
  where: ({ projectId, environmentId }) => [
    ...(projectId ? [sql`t.project_id = ${projectId}::uuid`] : []),
    ...(environmentId ? [sql`t.environment_id = ${environmentId}::uuid`] : []),
  ],
})

export const listRedisInstances = listQuery(redisListing, 'redisInstances')
export const countRedisInstances = countQuery(redisListing)
export const sliceRedisInstances = sliceQuery(redisListing)
export const countRedisInstancesByProject = defineQuery({
  name: 'redisCountByProject',
  description: 'Number of Redis instances of each of several projects, in the order of the projects.',
  permission: 'view:databases',
  ids: { 'projectIds.*': 'Project' },
  input: z.object({ projectIds: z.array(z.string()) }),
  run: (read, { projectIds }) => redisListing.countsBelow(read, { parent: 'projectId', parentIds: projectIds, filter: {} }),
})
export const findRedis = findQuery(redisListing)
