import { z } from 'zod'
import type { Redis } from '../../../generated/prisma/client.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { EvictionPolicy, RedisSpec } from './ports.ts'

/** What the sealed columns are sealed for. */
export const passwordIdentity = (id: string) => `redis:${id}:password`
export const urlIdentity = (id: string) => `redis:${id}:url`

/** Name of the account of clients. */
export const username = 'app'

const policies: Record<EvictionPolicy, true> = {
  noeviction: true,
  'allkeys-lru': true,
  'allkeys-lfu': true,
  'allkeys-random': true,
  'volatile-lru': true,
  'volatile-lfu': true,
  'volatile-random': true,
  'volatile-ttl': true,
}
export const evictionPolicies = Object.keys(policies) as [EvictionPolicy, ...EvictionPolicy[]]

const MiB = 2 ** 20
export const memoryRange = { least: 16 * MiB, most: 64 * 2 ** 30, usual: 128 * MiB }

export const settingsSchema = z.object({
  maxMemoryBytes: z.number().int().min(memoryRange.least).max(memoryRange.most).nullish(),
  evictionPolicy: z.enum(evictionPolicies).nullish(),
  persistent: z.boolean().nullish(),
})

export const urlOf = ({ host, port }: Pick<Redis, 'host' | 'port'>, password: string): string =>
  `redis://${username}:${password}@${host}:${port}/0`

/** What the engine needs, with the opened password. */
export async function specOf({ app, tx }: { app: App; tx: Tx }, redis: Redis): Promise<RedisSpec> {
  const { id, organizationId, port, maxMemoryBytes, evictionPolicy, persistent } = redis
  const password = await app.keyring.open(tx, organizationId, passwordIdentity(id), redis.password)
  return { id, port, username, password, maxMemoryBytes, evictionPolicy: evictionPolicy as EvictionPolicy, persistent }
}
