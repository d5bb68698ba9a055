/** How the servers of Redis instances are handled: the row becomes a spec, and the engine acts on it. */
import type { Redis } from '../../../generated/prisma/client.ts'
import { run, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { Supervised } from '../resource/index.ts'
import { eventOf, redisEvents } from './events.ts'
import { specOf } from './model.ts'
import { redisEngine } from './ports.ts'

const spec = (app: App, redis: Redis) => specOf({ app, tx: app.db }, redis)

export const supervisedRedis: Supervised<Redis> = {
  type: 'Redis',
  table: 'redis',
  noun: 'Redis instance',
  events: redisEvents,
  eventOf,
  async observe(app, instances) {
    const ids = instances.map(({ id }) => id)
    const states = await redisEngine.use(app).observe(ids)
    // A silent server counts as stopped, so that it is started again, which ends it first.
    return new Map(ids.map((id, index) => [id, states[index] === 'running' ? 'running' : 'stopped']))
  },
  async start(app, redis) {
    const { version } = await redisEngine.use(app).start(await spec(app, redis))
    await run(app.db, sql`update redis set redis_version = ${version} where id = ${redis.id}::uuid and redis_version <> ${version}`)
  },
  apply: async (app, redis) => redisEngine.use(app).apply(await spec(app, redis)),
  stop: (app, { id }) => redisEngine.use(app).stop(id, { graceMs: app.settings.SHUTDOWN_GRACE_MS }),
  remove: (app, { id }) => redisEngine.use(app).remove(id),
}
