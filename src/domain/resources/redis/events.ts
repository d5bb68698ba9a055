import { z } from 'zod'
import type { Redis } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  redisId: z.string().describe('ID of the Redis instance.'),
  projectId: z.string().describe('ID of the project.'),
  environmentId: z.string().describe('ID of the environment.'),
  name: z.string().describe('Name of the Redis instance.'),
  slug: z.string().describe('Slug of the Redis instance.'),
  message: z.string().nullable().describe('Why the Redis instance is not running. Null for other events than `redis.failed`.'),
})
const sample = {
  redisId: 'redis_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  environmentId: 'env_01h455vb4pex5vsknk084sn02q',
  name: 'Cache',
  slug: 'cache',
  message: null,
}

const redisEvent = (name: string, description: string, data: z.infer<typeof payload> = sample) =>
  defineEvent({ type: `redis.${name}`, version: 1, description, subject: 'Redis', schema: payload, sample: data })

export const redisCreated = redisEvent('created', 'A Redis instance was created. `redis.started` follows when it is running.')
export const redisUpdated = redisEvent('updated', 'The name or the settings of a Redis instance changed.')
export const redisEvents = {
  started: redisEvent('started', 'A Redis instance is running, after its creation or a start.'),
  restarted: redisEvent('restarted', 'A Redis instance was restarted and is running.'),
  stopped: redisEvent('stopped', 'A Redis instance was stopped.'),
  failed: redisEvent('failed', 'A Redis instance exited unexpectedly or could not be started. It is started again automatically.', {
    ...sample,
    message: 'The Redis instance exited unexpectedly. It is being restarted.',
  }),
  recovered: redisEvent('recovered', 'A failed Redis instance is running again.'),
  deleted: redisEvent('deleted', 'A Redis instance was deleted with its data.'),
}

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
