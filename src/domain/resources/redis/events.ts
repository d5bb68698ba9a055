import type { Redis } from '../../../generated/prisma/client.ts'
import { encodeId } from '../../../platform/id.ts'
import { lifecycleEvents, namedFields } from '../resource/index.ts'

const events = lifecycleEvents({
  name: 'redis',
  subject: 'Redis',
  noun: 'Redis instance',
  fields: namedFields('Redis instance', 'redisId'),
  sample: {
    redisId: 'redis_01h455vb4pex5vsknk084sn02q',
    projectId: 'proj_01h455vb4pex5vsknk084sn02q',
    environmentId: 'env_01h455vb4pex5vsknk084sn02q',
    name: 'Cache',
    slug: 'cache',
  },
})

export const { created: redisCreated, supervised: redisEvents } = events
export const redisUpdated = events.define('updated', 'The name or the settings of a Redis instance changed.')

export const eventOf = (redis: Redis, message: string | null = null) => ({
  subjectId: redis.id,
  projectId: redis.projectId,
  data: {
    redisId: encodeId('Redis', redis.id),
    projectId: encodeId('Project', redis.projectId),
    environmentId: encodeId('Environment', redis.environmentId),
    name: redis.name,
    slug: redis.slug,
    message,
  },
})
