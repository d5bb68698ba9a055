/**
 * `npm stop`: stops the server, workers, instances, managed databases and Redis instances, and the embedded PostgreSQL of DATA_DIR, even if the
 * server has crashed.
 */
import { existsSync } from 'node:fs'
import { createProcessRuntime } from '../drivers/process/index.ts'
import { readSettings, SettingsError } from '../platform/settings.ts'
import { shutDown } from './shutdown.ts'

try {
  const settings = readSettings()
  const dataDir = settings.DATA_DIR
  if (existsSync(dataDir)) {
    // Instances are found by their sandbox. SANDBOX=bwrap becomes auto, so that a missing bwrap doesn't prevent the stop.
    const sandbox = settings.SANDBOX === 'none' ? 'none' : 'auto'
    const runtime = await createProcessRuntime({ dataDir, sandbox, hostPath: settings.hostPath })
    const embedded = settings.DATABASE_URL === undefined
    const stopped = await shutDown({ dataDir, embedded, runtime, graceMs: settings.SHUTDOWN_GRACE_MS })
    const count = (kind: string) => stopped.processes.filter((process) => process.kind === kind).length
    const { instances, databases, redis } = stopped
    console.log(
      `Stopped: ${count('server')} server, ${count('worker')} workers, ${instances} instances, ${databases} databases, ${redis} Redis instances${embedded ? ', PostgreSQL' : ''}.`,
    )
  } else {
    console.log(`Nothing is running: ${dataDir} does not exist.`)
  }
} catch (error) {
  if (!(error instanceof SettingsError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
