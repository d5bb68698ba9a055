import { mkdir } from 'node:fs/promises'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../drivers/postgres/index.ts'
import type { Settings } from '../platform/settings.ts'

export type StartingDatabase = {
  /** Resolves when it accepts connections. Null if DATABASE_URL names another database. */
  database: Promise<EmbeddedPostgres | null>
  /** Resolves when only the server itself is waited for, or when `database` settles. Never rejects. */
  launched: Promise<void>
}

/** Creates DATA_DIR if it doesn't exist, and starts the embedded PostgreSQL. `onProgress` is called for each step that takes long. */
export function startDatabase(
  settings: Pick<Settings, 'DATA_DIR' | 'DATABASE_URL'>,
  onProgress?: (text: string) => void,
): StartingDatabase {
  const { promise, resolve: onLaunch } = Promise.withResolvers<void>()
  const database = start(settings, { onProgress, onLaunch })
  database.then(
    () => onLaunch(),
    () => onLaunch(),
  )
  return { database, launched: promise }
}

async function start(
  { DATA_DIR, DATABASE_URL }: Pick<Settings, 'DATA_DIR' | 'DATABASE_URL'>,
  progress: { onProgress: ((text: string) => void) | undefined; onLaunch: () => void },
): Promise<EmbeddedPostgres | null> {
  await mkdir(DATA_DIR, { recursive: true, mode: 0o700 })
  return DATABASE_URL ? null : startEmbeddedPostgres({ dataDir: DATA_DIR, ...progress })
}
