/**
 * Managed Redis servers as processes of this host: one process for each, on a loopback port, with its data below DATA_DIR. All state is on
 * disk (store.ts), so that a server outlives the control plane and any of its processes can manage it. It knows no database and decides
 * nothing: what should run is up to the domain. Made for Linux.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { RedisEngine, RedisSpec } from '../../domain/resources/redis/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { freePorts, isPortFree, listenerOf, type PortRange } from '../../platform/loopback-port.ts'
import { bootId, isAlive } from '../../platform/process-mark.ts'
import { machineCapacity, readProcessTree } from '../../platform/process-usage.ts'
import type { Usage } from '../../platform/usage.ts'
import { appendDirectory, configOf, liveSettings, processLimits } from './config.ts'
import { loopback, onConnection } from './connection.ts'
import { createHealthWatch } from './health.ts'
import { endServer, killChildren, launch, raiseDataLimit } from './launch.ts'
import { createProgramFinder, type Program } from './program.ts'
import { createServerStore, type Launched, type Run } from './store.ts'

export type RedisEngineOptions = {
  dataDir: string
  /** The host's PATH, in which redis-server or valkey-server is looked for. */
  hostPath: string
  /** Ports that are offered to new servers. */
  ports: PortRange
  /** Time without an answer after which a server is silent. By default longer than a script runs before the server answers that it is busy. */
  silenceMs?: number
}

const defaultSilenceMs = 15_000
const removeGraceMs = 1_000
const pollMs = 50

export async function createRedisEngine(options: RedisEngineOptions): Promise<RedisEngine> {
  const { dataDir, hostPath, ports, silenceMs = defaultSilenceMs } = options
  const store = await createServerStore(dataDir)
  const findProgram = createProgramFinder(hostPath)
  const health = createHealthWatch(store)

  async function requireProgram(): Promise<Program> {
    const program = await findProgram()
    if (typeof program === 'string') throw new PortError('UNAVAILABLE', program)
    return program
  }

  async function launchRun(spec: RedisSpec, number: number, program: Program): Promise<void> {
    const { id, port } = spec
    await requirePort(port)
    const directory = store.dataOf(id)
    // Otherwise, the data would be back when the server is made persistent again.
    if (!spec.persistent) await rm(join(directory, appendDirectory), { recursive: true, force: true })
    const config = configOf(spec, { directory, platformPassword: await store.platformPassword(id) })
    const log = await store.openLog(id)
    try {
      await launch({
        ...{ file: program.file, directory, config, limits: processLimits(spec), log: log.fd },
        record: (process) => store.decide(id, number, { process, port, version: program.version }),
      })
    } finally {
      await log.close()
    }
  }

  /** Returns false if the server was already running. */
  async function ensureLaunched(spec: RedisSpec): Promise<boolean> {
    const { id } = spec
    if ((await running(id)) !== null) return false
    const program = await requireProgram()
    await namingFullDisk(() => store.create(id))
    for (;;) {
      const former = await store.read(id)
      const server = processOf(former)
      if (server !== null && isAlive(server)) return false
      if (server !== null) await killChildren(server)
      const number = (former?.number ?? 0) + 1
      if (!(await namingFullDisk(() => store.claim(id, number)))) continue
      try {
        await namingFullDisk(() => launchRun(spec, number, program))
      } catch (error) {
        await store.abandon(id, number)
        throw error
      }
      await store.removeEarlierRuns(id, number)
      return true
    }
  }

  /** Waits for the first answer, and as long as the server loads its data. A server that does not answer at all is killed. */
  async function untilReady(id: string): Promise<Launched> {
    for (let heardAt = performance.now(); ; await pause(pollMs)) {
      const server = await running(id)
      if (server === null) {
        const reason = reasonIn(await store.lastLine(id), store.dataOf(id))
        throw new PortError('START_FAILED', `The Redis server exited while it started.${reason ? ` Its last message: ${reason}` : ''}`)
      }
      const { state } = await health.check(id, server)
      if (state === 'ready') return server
      if (state === 'loading') heardAt = performance.now()
      if (performance.now() - heardAt < silenceMs) continue
      await endServer(server.process, 0)
      throw new PortError('UNREACHABLE', `The Redis server did not answer for ${Math.round(silenceMs / 1000)} s.`)
    }
  }

  /** The current run, if its process is alive. */
  async function running(id: string): Promise<Launched | null> {
    const launched = (await store.read(id))?.launched ?? null
    return launched !== null && isAlive(launched.process) ? launched : null
  }

  const engine: RedisEngine = {
    async availability() {
      const program = await findProgram()
      return typeof program === 'string' ? { version: null, missing: program } : { version: program.version, missing: null }
    },
    async place(taken) {
      return { host: loopback, candidates: await freePorts(ports, taken) }
    },
    async start(spec) {
      const isFresh = await ensureLaunched(spec)
      const { version } = await untilReady(spec.id)
      if (!isFresh) await engine.apply(spec)
      return { version }
    },
    async apply(spec) {
      const server = await running(spec.id)
      if (server === null) throw new PortError('UNREACHABLE', 'The Redis server is not running.')
      await raiseDataLimit(server.process, processLimits(spec))
      const password = await store.platformPassword(spec.id)
      try {
        await onConnection(server.port, password, (client) => client.call('CONFIG', 'SET', ...liveSettings(spec).flat()))
      } catch (cause) {
        throw new PortError('UNREACHABLE', 'The Redis server did not accept its settings.', { cause })
      }
    },
    observe: (ids) =>
      Promise.all(
        ids.map(async (id) => {
          const server = await running(id)
          if (server === null) return 'stopped'
          return (await health.check(id, server)).silentMs > silenceMs ? 'silent' : 'running'
        }),
      ),
    async measure(id) {
      const server = await running(id)
      return server && health.measure(id, server)
    },
    async usage(ids) {
      const usage = new Map<string, Usage>()
      const tree = await readProcessTree()
      for (const id of ids) {
        const server = processOf(await store.read(id))
        const used = server && tree.usage(server)
        if (used) usage.set(id, used)
      }
      return { usage, capacity: machineCapacity() }
    },
    async stop(id, { graceMs }) {
      const server = processOf(await store.read(id))
      if (server !== null) await endServer(server, graceMs)
      health.forget(id)
    },
    async remove(id) {
      await engine.stop(id, { graceMs: removeGraceMs })
      await store.remove(id)
    },
    list: store.list,
  }
  return engine
}

/** Stops all servers of a data directory. Returns how many were running. */
export async function stopManagedRedis({ dataDir, graceMs }: { dataDir: string; graceMs: number }): Promise<number> {
  const store = await createServerStore(dataDir)
  const runs = await Promise.all((await store.list()).map(store.read))
  const servers = runs
    .map(processOf)
    .filter((server) => server !== null)
    .filter(isAlive)
  await Promise.all(servers.map((server) => endServer(server, graceMs)))
  return servers.length
}

/** The process of a run, which may have ended. Null if it ended with the machine, before the current boot. */
const processOf = (run: Run | null) => (run?.launched?.process.bootId === bootId() ? run.launched.process : null)

async function requirePort(port: number): Promise<void> {
  if (await isPortFree(port)) return
  const stranger = await listenerOf(port)
  const name = stranger ? `${stranger.program} (pid ${stranger.pid})` : 'another program'
  throw new PortError('PORT_TAKEN', `Port ${port} of the Redis server is in use by ${name}. The server starts when the port is free.`)
}

/** The text of a line of the server's log, which begins with the pid and the time, without paths. */
function reasonIn(line: string | null, directory: string): string | null {
  return line?.replace(/^\d+:\w \d+ \w+ \d+ [\d:.]+ [#*.-] /, '').replaceAll(directory, '') ?? null
}

async function namingFullDisk<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
    throw new PortError('NO_CAPACITY', 'The disk of the data directory has too little free space.', { cause: error })
  }
}
