/** A second process of the control plane for redis-adoption.test.ts: starts servers, one for each line of input, until it is killed. */
import { createInterface } from 'node:readline'
import type { RedisSpec } from '../../src/domain/resources/redis/ports.ts'
import { createRedisEngine, type RedisEngineOptions } from '../../src/drivers/redis/index.ts'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const next = async () => JSON.parse((await lines.next()).value as string) as unknown

const engine = await createRedisEngine((await next()) as RedisEngineOptions)
console.log('open')
for (;;) {
  await engine.start((await next()) as RedisSpec)
  console.log('started')
}
