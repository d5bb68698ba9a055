import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { MigrationList } from '@prisma/schema-engine-wasm'
import pg from 'pg'
import { reasonOf } from './outage.ts'

/** The migration history of the database doesn't match this program. The message says why and what to do. Nothing was changed. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

/** The database can't be reached. The message names it, without the credentials, and the reason. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
}

export type MigrateOptions = {
  url: string
  /** Directory in Prisma's layout: `<timestamp>_<name>/migration.sql`. */
  directory: string
}

const connectMs = 10_000

/** The application_name of the engine's sessions. */
export const engineName = 'quayside migration'

/** An arbitrary number, the same in every program that migrates. */
const advisoryLock = '7283561409871'

/**
 * Applies the pending migrations of `directory` and returns their names. Concurrent calls wait for each other. Throws MigrationError if the
 * database has a migration that is not in `directory` (of a newer program), that failed, or that was edited since; ConnectionError; or
 * PostgreSQL's error if a statement fails.
 */
export async function migrate({ url, directory }: MigrateOptions): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'quayside migrate', connectionTimeoutMillis: connectMs })
  client.on('error', () => {})
  await client.connect().catch((cause) => {
    throw new ConnectionError(`The database ${placeOf(url)} cannot be reached: ${reasonOf(cause).message}`, { cause })
  })
  try {
    await client.query('select pg_advisory_lock($1)', [advisoryLock])
    const known = await readMigrations(directory)
    await forgetInterruptedMigration(client)
    const applied = await readHistory(client)
    assertHistory(known, applied)
    if (known.migrationDirectories.every(({ path }) => applied.some(({ name }) => name === path))) return []

    const engine = new Worker(new URL('./migrate-worker.ts', import.meta.url), { workerData: { url, known }, execArgv: [] })
    const [names] = await once(engine, 'message')
    await engine.terminate()
    return names
  } finally {
    await client.end()
  }
}

/** Host, port and database name of the URL. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}

/**
 * Removes the record of a migration whose process was killed: its script and the record that it finished are one transaction, so nothing of
 * it was applied. Sessions that still run it are terminated first; they can't be another process's, since this one holds the lock.
 */
async function forgetInterruptedMigration(client: pg.Client): Promise<void> {
  if (!(await hasHistory(client))) return
  const cut = `finished_at is null and rolled_back_at is null and logs is null`
  if ((await client.query(`select 1 from _prisma_migrations where ${cut}`)).rows.length === 0) return
  const sessions = 'select pid from pg_stat_activity where datname = current_database() and application_name = $1'
  await client.query(`select pg_terminate_backend(pid) from (${sessions}) s`, [engineName])
  while ((await client.query(sessions, [engineName])).rows.length > 0) await delay(20)
  await client.query(`delete from _prisma_migrations where ${cut}`)
}

/** Reads a migrations directory in the form that the engine requires, oldest first. */
export async function readMigrations(directory: string): Promise<MigrationList> {
  const baseDir = resolve(directory)
  const entries = await readdir(baseDir, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  const migrationDirectories = names.sort().map(async (path) => {
    const value = await readFile(join(baseDir, path, 'migration.sql'), 'utf8')
    return { path, migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value } } }
  })
  return {
    baseDir,
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(migrationDirectories),
  }
}

async function hasHistory(client: pg.Client): Promise<boolean> {
  return (await client.query(`select to_regclass('_prisma_migrations') as found`)).rows[0].found !== null
}

type Applied = { name: string; checksum: string; finished: boolean }

async function readHistory(client: pg.Client): Promise<Applied[]> {
  if (!(await hasHistory(client))) return []
  const history = await client.query<Applied>(
    `select migration_name as name, checksum, finished_at is not null as finished
       from _prisma_migrations where rolled_back_at is null order by started_at`,
  )
  return history.rows
}

function assertHistory(known: MigrationList, applied: Applied[]): void {
  const checksums = new Map(known.migrationDirectories.map(({ path, migrationFile }) => [path, checksum(migrationFile.content.value)]))
  const named = (rows: Applied[]) => rows.map(({ name }) => name).join(', ')

  const unknown = applied.filter(({ name }) => !checksums.has(name))
  if (unknown.length > 0) {
    throw new MigrationError(
      `This version of Quayside is older than its database, which contains unknown migrations (${named(unknown)}). Start the newer version, or use another database.`,
    )
  }
  const failed = applied.filter(({ finished }) => !finished)
  if (failed.length > 0) {
    throw new MigrationError(
      `A migration of this database failed earlier (${named(failed)}; see the table _prisma_migrations for its error). Restore a backup, or repair the database and delete that row.`,
    )
  }
  const edited = applied.filter(({ name, checksum }) => checksums.get(name) !== checksum)
  if (edited.length > 0) {
    throw new MigrationError(
      `A migration was edited after this database applied it (${named(edited)}). Restore the file, and make the change in a new migration.`,
    )
  }
}

const checksum = (script: string) => createHash('sha256').update(script).digest('hex')
