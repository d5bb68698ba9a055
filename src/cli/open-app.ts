/** Opens what every program of Quayside needs: the database with its migrations, the keyring, the wake-ups. Creates no drivers of the domain. */
import { join } from 'node:path'
import { concepts } from '../domain/index.ts'
import type { EmbeddedPostgres } from '../drivers/postgres/index.ts'
import { systemClock } from '../platform/clock.ts'
import { assemble } from '../platform/concept.ts'
import { MasterKeyError, openKeyring } from '../platform/crypto.ts'
import { createDb } from '../platform/db/index.ts'
import { ConnectionError, MigrationError, migrate } from '../platform/db/migrate.ts'
import { createWake } from '../platform/db/wake.ts'
import { createLogger } from '../platform/log.ts'
import { nameProcess } from '../platform/process-name.ts'
import { type Settings, SettingsError } from '../platform/settings.ts'
import type { App } from '../platform/work.ts'
import { startDatabase } from './start-database.ts'

export const root = join(import.meta.dirname, '..', '..')

/** `postgres` is null if DATABASE_URL names an external database. */
export type OpenedApp = { app: App; postgres: EmbeddedPostgres | null; close(): Promise<void> }

/** Whether the operator can fix the error; it is then printed without a stack trace. */
export const isOperatorError = (error: unknown): error is Error =>
  [SettingsError, ConnectionError, MigrationError, MasterKeyError].some((type) => error instanceof type)

/**
 * Throws ConnectionError, MigrationError or MasterKeyError if the database can't be reached or doesn't match this program.
 */
export async function openApp(settings: Settings, database = startDatabase(settings).database): Promise<OpenedApp> {
  const log = createLogger(settings.LOG_LEVEL, process.stderr)
  const postgres = await database
  const url = settings.DATABASE_URL?.reveal() ?? postgres!.url
  await migrate({ url, directory: join(root, 'prisma', 'migrations') })
  const waitMs = Math.min(8_000, Math.ceil(settings.REQUEST_TIMEOUT_MS * 0.8))
  const db = createDb({ url, poolSize: settings.DATABASE_POOL, log, waitMs })
  try {
    const keyring = await openKeyring(db, settings)
    const wake = await createWake(db)
    const domain = assemble(concepts)
    const app: App = { db, wake, log, keyring, clock: systemClock, settings, domain, processId: nameProcess() }
    return {
      app,
      postgres,
      async close() {
        await wake.close()
        await db.close()
      },
    }
  } catch (error) {
    await db.close()
    throw error
  }
}
