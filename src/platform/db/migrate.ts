import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { MigrationList } from '@prisma/schema-engine-wasm'
import pg from 'pg'
import { engineName, openSchemaEngine } from './schema-engine.ts'

/** The database's history doesn't fit this program; the message says how and what to do. Nothing was changed. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

/** The database takes no connection; the message says which one and why, without the credentials. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
}

export type MigrateOptions = {
  url: string
  /** Prisma's layout: `<timestamp>_<name>/migration.sql`. */
  directory: string
}

const connectMs = 10_000

/** Chosen at random once; every program that migrates waits on it. */
const advisoryLock = '7283561409871'

/**
 * Brings a database to the newest migration of `directory` and gives the names of those it applied. Processes that call it at once
 * wait for each other. Throws MigrationError when the database holds a migration that `directory` lacks (a newer program was here),
 * one that failed, or one that was edited since; ConnectionError; and PostgreSQL's error when a statement fails.
 */
export async function migrate({ url, directory }: MigrateOptions): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'quayside migrate', connectionTimeoutMillis: connectMs })
  client.on('error', () => {})
  await client.connect().catch((cause) => {
    throw new ConnectionError(`The database ${placeOf(url)} cannot be reached: ${reasonOf(cause)}`, { cause })
  })
  try {
    await client.query('select pg_advisory_lock($1)', [advisoryLock])
    const known = await readMigrations(directory)
    await forgetCutMigrations(client)
    const applied = await readHistory(client)
    assertHistory(known, applied)
    if (known.migrationDirectories.every(({ path }) => applied.some(({ name }) => name === path))) return []

    const engine = await openSchemaEngine(url)
    try {
      return await engine.applyMigrations(known)
    } finally {
      await engine.close()
    }
  } finally {
    await client.end()
  }
}

/** Host, port and name, as the URL has them. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}

/** A name with several addresses fails with an error for each of them. */
function reasonOf(cause: unknown): string {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause
  return first instanceof Error ? first.message : String(first)
}

/**
 * A migration whose process was killed is as if it had never begun: its script and the note that it finished are one transaction. What
 * its session still does is ended first; nobody else applies migrations while we hold the lock.
 */
async function forgetCutMigrations(client: pg.Client): Promise<void> {
  if (!(await hasHistory(client))) return
  const cut = `finished_at is null and rolled_back_at is null and logs is null`
  if ((await client.query(`select 1 from _prisma_migrations where ${cut}`)).rows.length === 0) return
  const sessions = 'select pid from pg_stat_activity where datname = current_database() and application_name = $1'
  await client.query(`select pg_terminate_backend(pid) from (${sessions}) s`, [engineName])
  while ((await client.query(sessions, [engineName])).rows.length > 0) await delay(20)
  await client.query(`delete from _prisma_migrations where ${cut}`)
}

/** Reads a migrations folder as the engine wants it, oldest first. */
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
