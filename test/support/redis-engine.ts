import { redisEngine } from '../../src/domain/resources/redis/index.ts'
import type { RedisEngine } from '../../src/domain/resources/redis/ports.ts'
import type { App } from '../../src/platform/work.ts'

const candidates = Array.from({ length: 1_000 }, (_, n) => 16_000 + n)

/** Provides what the creation of a Redis instance needs, for tests in which none is started. */
export function provideRedisEngine(app: App): void {
  redisEngine.provide(app, {
    place: async () => ({ host: '127.0.0.1', candidates }),
    usage: async () => ({ usage: new Map(), capacity: { millicores: 1_000, memoryBytes: 1 } }),
    availability: async () => ({ version: '7.0.15', missing: null }),
  } as Partial<RedisEngine> as RedisEngine)
}
