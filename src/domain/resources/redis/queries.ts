import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { countQuery, defineListing, findQuery, listQuery, sliceQuery } from '../../../platform/listing.ts'
import { type Slice, sliceInput, windowOf } from '../../../platform/page.ts'
import { type DatabaseRow, databaseListing } from '../database/index.ts'
import type { RedisRow } from './commands.ts'

export const redisListing = defineListing({
  type: 'Redis',
  noun: 'Redis instance',
  permission: 'view:databases',
  order: 'oldest_first',
  audited: ['name', 'desiredState', 'maxMemoryBytes', 'evictionPolicy', 'persistent', 'environmentId', 'projectId'],
  omit: ['password', 'url', 'urlFingerprint'],
  filter: { projectId: z.string().nullish(), environmentId: z.string().nullish() },
  ids: { projectId: 'Project', environmentId: 'Environment' },
  parents: ['projectId'],
  where: ({ environmentId }) => (environmentId ? [sql`t.environment_id = ${environmentId}::uuid`] : []),
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

/** A database of either kind. */
export type ManagedDatabase = { type: 'Database'; row: DatabaseRow } | { type: 'Redis'; row: RedisRow }

export const sliceManagedDatabases = defineQuery({
  name: 'managedDatabaseSlice',
  description: 'Databases and Redis instances visible to the caller by offset, oldest first, with their total number.',
  permission: 'view:databases',
  ids: {},
  input: z.object(sliceInput),
  async run(read, slice): Promise<Slice<ManagedDatabase>> {
    const { limit, offset } = windowOf(slice)
    const idsOf = ({ from, scope }: typeof databaseListing | typeof redisListing) =>
      sql`select t.id from ${from} where ${scope(read.caller, {})}`
    const { ids, total } = (await row<{ ids: string[]; total: number }>(
      read.tx,
      sql`with managed as (${idsOf(databaseListing)} union all ${idsOf(redisListing)})
          select (select count(*)::int from managed) as total,
            array(select id::text from managed order by id limit ${limit}::bigint offset ${offset}::bigint) as ids`,
    ))!
    const databases = (await databaseListing.find(read, ids)).map((row) => ({ type: 'Database' as const, row }))
    const redis = (await redisListing.find(read, ids)).map((row) => ({ type: 'Redis' as const, row }))
    const byId = new Map<string, ManagedDatabase>([...databases, ...redis].map((item) => [item.row.id, item]))
    return { rows: ids.flatMap((id) => byId.get(id) ?? []), total, limit, offset }
  },
})
