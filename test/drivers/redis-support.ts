/** Redis servers on a fresh data directory, clients for them, and checks that nothing is left when a test ends. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis, type RedisOptions } from 'ioredis'
import { afterEach, expect } from 'vitest'
import type { RedisEngine, RedisSpec, RedisState } from '../../src/domain/resources/redis/ports.ts'
import { createRedisEngine, type RedisEngineOptions } from '../../src/drivers/redis/index.ts'
import { freePorts, hostPath, pidsRunning, processes } from './process-support.ts'

export { until } from '../support/wait.ts'
export { freePorts, hostPath }

const opened: { engine: RedisEngine; dataDir: string }[] = []
const clients: Redis[] = []

export async function openEngine(
  wishes: Partial<RedisEngineOptions> = {},
): Promise<{ engine: RedisEngine; dataDir: string; options: RedisEngineOptions }> {
  const dataDir = wishes.dataDir ?? (await mkdtemp(join(tmpdir(), 'quayside-redis-')))
  const options = { hostPath, ports: await freePorts(20), ...wishes, dataDir }
  const engine = await createRedisEngine(options)
  opened.push({ engine, dataDir })
  return { engine, dataDir, options }
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect()
  const last = new Map(opened.splice(0).map(({ engine, dataDir }) => [dataDir, engine]))
  for (const [dataDir, engine] of last) {
    for (const id of await engine.list()) await engine.remove(id)
    const left = await pidsIn(dataDir)
    await rm(dataDir, { recursive: true, force: true })
    expect(left).toEqual([])
  }
})

/** Pids of processes that work in a folder below this one. */
async function pidsIn(directory: string): Promise<number[]> {
  const found = await Promise.all(
    (await processes()).map(async (pid) => ((await readlink(`/proc/${pid}/cwd`).catch(() => '')).startsWith(directory) ? pid : null)),
  )
  return found.filter((pid) => pid !== null)
}

/** How a new server is to be, on a port that the engine offers. */
export async function newSpec(engine: RedisEngine, wishes: Partial<RedisSpec> = {}): Promise<RedisSpec> {
  return {
    ...{ id: randomUUID(), username: 'app', password: randomBytes(24).toString('base64url') },
    ...{ maxMemoryBytes: 32 * 2 ** 20, evictionPolicy: 'noeviction', persistent: true },
    port: (await engine.place(new Set())).candidates[0]!,
    ...wishes,
  }
}

export async function startServer(engine: RedisEngine, wishes: Partial<RedisSpec> = {}): Promise<RedisSpec> {
  const spec = await newSpec(engine, wishes)
  await engine.start(spec)
  return spec
}

export async function stateOf(engine: RedisEngine, { id }: RedisSpec): Promise<RedisState> {
  return (await engine.observe([id]))[0]!
}

/** A connected client. By default, with the account of the spec. */
export async function connect({ port, username, password }: RedisSpec, options: RedisOptions = {}): Promise<Redis> {
  const common = { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 }
  const client = new Redis({ host: '127.0.0.1', port, username, password, ...common, ...options })
  client.on('error', () => undefined)
  clients.push(client)
  await client.connect()
  return client
}

/** Pid of the process that serves a spec. */
export async function pidOf({ port }: RedisSpec): Promise<number> {
  return (await pidsRunning(`127.0.0.1:${port}`))[0]!
}
