import { setTimeout as delay } from 'node:timers/promises'
import type { Runtime } from '../domain/deploys/instance/ports.ts'
import { stopEmbeddedPostgres } from '../drivers/postgres/index.ts'
import { stopManagedPostgres } from '../drivers/postgres/managed.ts'
import { stopManagedRedis } from '../drivers/redis/index.ts'
import { listProcesses, type RecordedProcess } from './process-record.ts'

export type ShutdownRequest = {
  dataDir: string
  /** Whether to stop the embedded PostgreSQL of `dataDir` too. */
  embedded: boolean
  /** The runtime of the instances. */
  runtime: Pick<Runtime, 'list' | 'stop'>
  /** Time for a server or worker to drain, and for an instance or a Redis server to exit, before it is killed. */
  graceMs: number
}

export type ShutdownReport = { processes: RecordedProcess[]; instances: number; databases: number; redis: number }

/**
 * Stops everything of `dataDir` except the calling process: first servers and workers, since they would restart instances, then instances,
 * then managed databases and Redis servers, and finally the embedded PostgreSQL. Also works if the server has crashed, and may be called again.
 */
export async function shutDown({ dataDir, embedded, runtime, graceMs }: ShutdownRequest): Promise<ShutdownReport> {
  const processes = await others(dataDir)
  signal(processes, 'SIGTERM')
  await ended(dataDir, graceMs)
  signal(await others(dataDir), 'SIGKILL')
  await ended(dataDir, 5_000)

  const instances = await runtime.list()
  await Promise.all(instances.map((id) => runtime.stop(id, { graceMs })))
  const [databases, redis] = await Promise.all([stopManagedPostgres({ dataDir }), stopManagedRedis({ dataDir, graceMs })])
  if (embedded) await stopEmbeddedPostgres({ dataDir })
  return { processes, instances: instances.length, databases, redis }
}

const others = async (dataDir: string) => (await listProcesses(dataDir)).filter(({ pid }) => pid !== process.pid)

function signal(processes: RecordedProcess[], name: NodeJS.Signals): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

async function ended(dataDir: string, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs
  while ((await others(dataDir)).length > 0 && performance.now() < deadline) await delay(50)
}
