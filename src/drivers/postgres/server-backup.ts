/**
 * Backups of databases on a shared server: dumps by `pg_dump`. They are verified by restoring them into another database of that server, which
 * belongs to a role of its own, so that nothing in a dump runs with the rights of Quayside or of another database.
 */
import { randomBytes } from 'node:crypto'
import type { BackupDetails, BackupEngine, BackupErrorCode, RowCounts, StoredBackup } from '../../domain/resources/backup/ports.ts'
import type { DatabaseSpec } from '../../domain/resources/database/ports.ts'
import type { Connection } from '../../platform/db/connection.ts'
import { PortError } from '../../platform/errors.ts'
import type { Secret } from '../../platform/settings.ts'
import { demandPgDump, type Login, ProgramError, startDump, startRestore } from './backup/dump.ts'
import { checkArchive, connected, feedTask, storeOutput } from './backup/index.ts'
import { countRows } from './backup/row-count.ts'
import { addressOf } from './server.ts'
import { admit, dismiss, drop, prepare } from './server-admin.ts'

export type ServerBackupOptions = {
  url: Secret | undefined
  /** Path of `pg_dump`. When it is unset, backups are refused with that reason. */
  pgDump: string | undefined
}

/** Names of the databases that verifications restore into. */
const copyPrefix = 'quayside_verify_'

export function createServerBackups({ url, pgDump }: ServerBackupOptions): Pick<BackupEngine, 'backUp' | 'verify' | 'restore' | 'sweep'> {
  const address = url && addressOf(url.reveal())

  /** Works with the rights to create databases, while no other process changes the database `id`. */
  const administer = <Result>(id: string, signal: AbortSignal, work: (session: Connection) => Promise<Result>): Promise<Result> => {
    if (!address) throw unavailable('The backup is of a database on a server, but the setting MANAGED_POSTGRES_URL is not set.')
    return connected(address.url, signal, async (session) => {
      await session.run('set statement_timeout = 0; set idle_session_timeout = 0')
      await session.rows('select pg_advisory_lock(hashtextextended($1, 0))', [`quayside ${id}`])
      return work(session)
    }).catch(explain)
  }
  /** Restores into a new database, which is removed if that fails. */
  const restoreInto = async (session: Connection, spec: DatabaseSpec, backup: StoredBackup, signal: AbortSignal): Promise<void> => {
    const program = await demandPgDump(pgDump, backup.details.serverVersion)
    // What an interrupted attempt left.
    await remove(session, spec)
    try {
      await prepare(session, spec)
      await admit(session, spec, { open: true })
      await feedTask(backup, () => startRestore(program, spec, signal))
    } catch (error) {
      await remove(session, spec)
      throw error
    }
  }

  return {
    async backUp(source, store, signal) {
      return connected(urlOf(source), signal, async (session) => {
        const { snapshot, ...found } = await openSnapshot(session)
        const program = await demandPgDump(pgDump, found.serverVersion)
        const digest = await storeOutput((stopping) => startDump(program, source, snapshot, stopping), store, signal)
        return { ...digest, ...found, rowCounts: await countRows(session) }
      }).catch(explain)
    },

    async verify(id, backup, signal) {
      await checkArchive(backup, signal)
      await administer(id, signal, async (session) => {
        const copy = copyOf(id, address!)
        try {
          await restoreInto(session, copy, backup, signal)
          await connected(urlOf(copy), signal, (own) => compare(own, backup.details.rowCounts))
        } finally {
          if (!signal.aborted) await remove(session, copy)
        }
      })
    },

    async restore(database, backup, target, onStep, signal) {
      if (target !== null) throw unsupported('A database on a server cannot be restored to a point in time.')
      await checkArchive(backup, signal)
      await onStep(1)
      await administer(database.id, signal, async (session) => {
        await restoreInto(session, database, backup, signal)
        await onStep(2)
        await dismiss(session, database)
        await onStep(3)
      })
    },

    async sweep() {
      if (!address) return
      await connected(address.url, new AbortController().signal, async (session) => {
        const left = await session.rows<{ name: string }>('select datname as name from pg_database where starts_with(datname, $1)', [
          copyPrefix,
        ])
        for (const { name } of left) {
          // The lock is free when no process of any installation verifies it.
          const lock = `quayside ${idOf(name)}`
          const [tried] = await session.rows<{ free: boolean }>('select pg_try_advisory_lock(hashtextextended($1, 0)) as free', [lock])
          if (tried?.free) await remove(session, { databaseName: name, username: name })
        }
      })
    },
  }
}

const urlOf = ({ host, port, databaseName, username, password }: Login): string =>
  `postgresql://${username}:${password}@${host}:${port}/${databaseName}`

/** The database in which a backup is verified. */
function copyOf(id: string, { host, port }: Pick<Login, 'host' | 'port'>): DatabaseSpec {
  const name = copyPrefix + id.replaceAll('-', '')
  const password = randomBytes(24).toString('base64url')
  const names = { databaseName: name, username: name, password, superuserPassword: '' }
  return { id, host, port, ownsPort: false, ...names, maxConnections: 5, settings: {} }
}

const idOf = (name: string): string => name.slice(copyPrefix.length).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

async function remove(session: Connection, names: Pick<DatabaseSpec, 'databaseName' | 'username'>): Promise<void> {
  const ref = { id: '', host: '', port: 0, ownsPort: false, ...names }
  await dismiss(session, ref)
  await drop(session, ref)
}

type Snapshot = Pick<BackupDetails, 'serverVersion' | 'contentBytes' | 'targetTime'> & { snapshot: string }

/** Begins a transaction whose snapshot the dump uses too, so that the counted rows are exactly those in the dump. */
async function openSnapshot(session: Connection): Promise<Snapshot> {
  await session.run('set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set idle_session_timeout = 0')
  await session.run('begin isolation level repeatable read read only')
  const [found] = await session.rows<Snapshot>(
    `select pg_export_snapshot() as snapshot, split_part(current_setting('server_version'), ' ', 1) as "serverVersion",
            pg_database_size(current_database())::float8 as "contentBytes",
            to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "targetTime"`,
  )
  return found!
}

/** Reads all tables. Throws PortError VERIFICATION_FAILED with the first one that differs. */
async function compare(session: Connection, expected: RowCounts | null): Promise<void> {
  await session.run('set statement_timeout = 0')
  await session.run('begin isolation level repeatable read read only')
  const counted = await countRows(session)
  for (const { schema, table, rows } of expected ?? []) {
    const found = counted.find((one) => one.schema === schema && one.table === table)
    if (found?.rows === rows) continue
    const problem = found ? `has ${found.rows} rows instead of ${rows}` : 'is missing'
    throw new PortError<BackupErrorCode>('VERIFICATION_FAILED', `Table ${schema}.${table} ${problem}.`)
  }
}

const unavailable = (message: string, cause?: unknown): PortError<BackupErrorCode> =>
  new PortError('DATABASE_UNAVAILABLE', message, { cause })
const unsupported = (message: string): PortError<BackupErrorCode> => new PortError('NOT_SUPPORTED', message)

/** The words of the server or of its programs. */
function explain(error: unknown): never {
  if (error instanceof ProgramError && error.isFinding)
    throw new PortError<BackupErrorCode>('VERIFICATION_FAILED', `The dump cannot be made or restored: ${error.reason}`, { cause: error })
  const { code, message } = error as Error & { code?: string }
  if (error instanceof ProgramError || (!(error instanceof PortError) && (code !== undefined || /^Connection terminated/.test(message))))
    throw unavailable(`The database server could not be used: ${message}`, error)
  throw error
}
