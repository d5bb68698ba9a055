/**
 * The entry point: `main.ts` runs everything in one process, `main.ts worker` only jobs, `main.ts api` only the server. The database starts
 * while the rest of the program (serve.ts) is loaded.
 */

import { listProcesses } from './cli/process-record.ts'
import { startDatabase } from './cli/start-database.ts'
import { type EmbeddedPostgres, stopEmbeddedPostgres } from './drivers/postgres/index.ts'
import { readSettings, type Settings, SettingsError } from './platform/settings.ts'
import type { Role } from './serve.ts'

async function start(role: Role): Promise<void> {
  const settings = readSettings()
  const interrupt = () => {
    interrupted ??= abandonStart(settings).finally(() => process.exit(130))
  }
  process.on('SIGINT', interrupt)
  const { database, launched } = startDatabase(settings, (line) => console.log(line))
  // Loading is one long computation: if it began earlier, the steps before the launch would wait for it.
  await launched
  const { serve, reportOf } = await import('./serve.ts')
  try {
    await serve({ role, settings, database, onStarted: () => process.off('SIGINT', interrupt) })
  } catch (error) {
    await fail(reportOf(error), () => stopStarted(settings, database))
  }
}

/** Set when Ctrl-C interrupts the start; resolves when nothing is left running. */
let interrupted: Promise<void> | undefined

/** Stops the embedded PostgreSQL of an interrupted start, unless other processes use it too. */
async function abandonStart({ DATA_DIR, DATABASE_URL }: Settings): Promise<void> {
  if (DATABASE_URL === undefined && !(await isShared(DATA_DIR))) await stopEmbeddedPostgres({ dataDir: DATA_DIR })
}

/**
 * Stops the embedded PostgreSQL that a failed start has started, unless other processes use it by now. One that does not become ready is not
 * stopped: it may be recovering, and the next start waits for it again.
 */
async function stopStarted({ DATA_DIR }: Settings, database: Promise<EmbeddedPostgres | null>): Promise<void> {
  const postgres = await database.catch(() => null)
  if (postgres && !postgres.joined && !(await isShared(DATA_DIR))) await postgres.stop()
}

const isShared = async (dataDir: string): Promise<boolean> => (await listProcesses(dataDir)).some(({ pid }) => pid !== process.pid)

async function fail(report: unknown, cleanUp?: () => Promise<void>): Promise<never> {
  // An interrupted start fails because its database was stopped.
  await interrupted
  console.error(report)
  await cleanUp?.().catch((error) => console.error(error))
  process.exit(1)
}

const role: Role = process.argv[2] === 'worker' ? 'worker' : process.argv[2] === 'api' ? 'api' : 'all'
await start(role).catch((error) => fail(error instanceof SettingsError ? error.message : error))
