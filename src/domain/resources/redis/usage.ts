/** CPU and memory of Redis instances. */
import { rows, sql } from '../../../platform/db/index.ts'
import { percentOf } from '../../../platform/usage.ts'
import type { App } from '../../../platform/work.ts'
import { createUsageReader, type ServerUse } from '../resource/index.ts'
import { redisEngine } from './ports.ts'

const serverUse = createUsageReader((app, ids) => redisEngine.use(app).usage(ids))

/** What many instances use, in order: memory in percent of their limit for data, which does not count what the server itself needs. */
export async function redisUse(app: App, ids: readonly string[]): Promise<(ServerUse | null)[]> {
  if (ids.length === 0) return []
  const running = await rows<{ id: string; maxMemoryBytes: number }>(
    app.db,
    sql`select id, max_memory_bytes from redis where id = any(${[...ids]}::uuid[]) and status = 'RUNNING'`,
  )
  const uses = await serverUse(
    app,
    running.map(({ id }) => id),
  )
  const found = await Promise.all(
    running.map(async ({ id, maxMemoryBytes }, index): Promise<[string, ServerUse | null]> => {
      const use = uses[index]
      if (!use) return [id, null]
      const metrics = await redisEngine.use(app).measure(id)
      return [id, { ...use, memoryPercent: metrics && percentOf(metrics.usedMemoryBytes, maxMemoryBytes) }]
    }),
  )
  const byId = new Map(found)
  return ids.map((id) => byId.get(id) ?? null)
}
