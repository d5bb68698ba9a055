/** Managed Redis instances: run by an engine, supervised, and connected to services by bindings. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { offeredPlans } from '../../apps/plan/index.ts'
import { supervisedKinds, superviseResources } from '../resource/index.ts'
import { bindableKinds, deleteWithEnvironment } from '../resource-binding/index.ts'
import { bindableRedis } from './bound-value.ts'
import { connectRedis, createRedis, deleteRedis, restartRedis, startRedis, stopRedis, updateRedis } from './commands.ts'
import { redisCreated, redisEvents, redisUpdated } from './events.ts'
import { memoryRange, passwordIdentity, urlIdentity } from './model.ts'
import { redisPlans } from './plans.ts'
import { redisEngine } from './ports.ts'
import {
  countRedisInstances,
  countRedisInstancesByProject,
  findRedis,
  listRedisInstances,
  redisListing,
  sliceManagedDatabases,
  sliceRedisInstances,
} from './queries.ts'
import { revealRedis } from './reveal.ts'
import { supervisedRedis } from './supervision.ts'

export {
  connectRedis,
  createRedis,
  deleteRedis,
  type RedisRow,
  restartRedis,
  startRedis,
  stopRedis,
  updateRedis,
} from './commands.ts'
export { planOfRedis } from './plans.ts'
export { redisEngine } from './ports.ts'
export { countRedisInstancesByProject, findRedis, type ManagedDatabase, sliceManagedDatabases, sliceRedisInstances } from './queries.ts'
export { revealRedis } from './reveal.ts'
export { redisUse } from './usage.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Redis: 'redis'
  }
}

export const redis = defineConcept({
  name: 'redis',
  idPrefixes: { Redis: 'redis' },
  nodes: [redisListing],
  commands: [createRedis, updateRedis, startRedis, stopRedis, restartRedis, deleteRedis, revealRedis, connectRedis],
  queries: [findRedis, listRedisInstances, sliceRedisInstances, countRedisInstances, countRedisInstancesByProject, sliceManagedDatabases],
  events: [redisCreated, redisUpdated, ...Object.values(redisEvents)],
  reactions: [deleteWithEnvironment('redis')],
  chores: [superviseResources(supervisedRedis)],
  ports: [redisEngine],
  extensions: [offeredPlans.with(redisPlans), bindableKinds.with(bindableRedis), supervisedKinds.with(supervisedRedis)],
  sealed: [
    { table: 'redis', key: 'id', column: 'password', identity: passwordIdentity },
    { table: 'redis', key: 'id', column: 'url', identity: urlIdentity },
  ],
  constraints: [
    ...stamped('redis'),
    check('redis', 'max_memory_bytes', `max_memory_bytes BETWEEN ${memoryRange.least} AND ${memoryRange.most}`),
    check('redis', 'port', 'port BETWEEN 1 AND 65535'),
  ],
})
