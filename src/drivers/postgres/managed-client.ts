/** Connections to managed databases: as superuser over the socket, to create and measure; as the role over TCP, to see that it works. */
import { setTimeout as delay } from 'node:timers/promises'
import type { DatabaseEngine, DatabaseFailureCode, DatabaseSpec, Measured } from '../../domain/resources/database/ports.ts'
import { type Connection, openConnection, quoteName } from '../../platform/db/connection.ts'
import { PortError } from '../../platform/errors.ts'
import type { Cluster } from './cluster.ts'
import { superuser } from './managed-settings.ts'

const answerMs = 30_000
const tooManyConnections = '53300'

/**
 * Runs `work` on a connection of its own, which is closed afterwards. Throws PortError UNREACHABLE if the server does not accept it or has not
 * answered within `withinMs`.
 */
export async function connected<T>(url: string, work: (session: Connection) => Promise<T>, withinMs = answerMs): Promise<T> {
  const session = await openConnection(url).catch((cause: Error) => {
    throw new PortError('UNREACHABLE', `The database does not accept connections: ${cause.message}`, { cause })
  })
  try {
    return await answered(work(session), withinMs)
  } finally {
    await session.close()
  }
}

/** Throws PortError UNREACHABLE if there is no answer within `withinMs`. */
export async function answered<T>(answer: Promise<T>, withinMs = answerMs): Promise<T> {
  const timeout = new AbortController()
  const tooLate = delay(withinMs, undefined, { signal: timeout.signal }).then(() => {
    throw new PortError('UNREACHABLE', `The database did not answer within ${withinMs} ms.`)
  })
  for (const promise of [answer, tooLate]) promise.catch(() => {})
  try {
    return await Promise.race([answer, tooLate])
  } finally {
    timeout.abort()
  }
}

/** Runs `work` while the session holds the lock of a database, for which it waits. The server drops the lock with the connection. */
export async function underLock<T>(session: Connection, { id }: Pick<DatabaseSpec, 'id'>, work: () => Promise<T>): Promise<T> {
  await session.rows('select pg_advisory_lock(hashtextextended($1, 0))', [`quayside ${id}`])
  return work()
}

/** What the server refused, with its own words, or that the connection was lost. Other errors are returned as they are. */
export function refusal(error: unknown): unknown {
  if (error instanceof PortError || !(error instanceof Error)) return error
  const { code: state, severity } = error as { code?: string; severity?: string }
  const failure = (code: DatabaseFailureCode, message: string) => new PortError(code, `${message}: ${error.message}`, { cause: error })
  if (severity === undefined) {
    const isLost = state !== undefined || /^Connection terminated/.test(error.message)
    return isLost ? failure('UNREACHABLE', 'The connection to the database server was lost') : error
  }
  const code = state === '53100' ? 'NO_CAPACITY' : state === '22023' ? 'SETTING_REJECTED' : 'UNREACHABLE'
  return failure(code, 'The database server refused a change')
}

/**
 * Settings of the superuser's sessions. They override those that the owner of a database gives it with `alter database … set`: a search path
 * of the owner could make these sessions call functions of the owner, with the rights of the superuser.
 */
const ownSettings = encodeURIComponent('-c search_path=pg_catalog -c role=none -c default_transaction_read_only=off')

/** Connects as superuser over the socket. */
export const superuserUrl = (
  { socketDir }: Pick<Cluster, 'socketDir'>,
  { port, superuserPassword }: Pick<DatabaseSpec, 'port' | 'superuserPassword'>,
  database: string,
): string =>
  `postgresql://${superuser}:${superuserPassword}@localhost:${port}/${database}?host=${encodeURIComponent(socketDir)}&options=${ownSettings}`

/** Runs a statement as clients do: over TCP, as the role. */
export const queryAsRole: DatabaseEngine['query'] = ({ host, port, databaseName, username, password }, text, values) =>
  connected(`postgresql://${username}:${password}@${host}:${port}/${databaseName}`, (session) => session.rows(text, values))

/** Runs a query as the role. If all connections that the role may have are in use, it can connect. */
export const checkRole = async (spec: DatabaseSpec): Promise<void> => {
  try {
    await queryAsRole(spec, 'select 1')
  } catch (error) {
    if (((error as Error).cause as { code?: string } | undefined)?.code !== tooManyConnections) throw error
  }
}

/** Creates the role and its database if they are missing, and sets password and connection limit. */
export async function provision(session: Connection, { databaseName, username, password, maxConnections }: DatabaseSpec): Promise<void> {
  // A failing statement is logged with its text, which contains the password.
  await session.run("set log_min_error_statement = 'panic'")
  const exists = async (table: 'pg_roles where rolname' | 'pg_database where datname', name: string) =>
    (await session.rows(`select 1 from ${table} = $1`, [name])).length > 0
  const verb = (await exists('pg_roles where rolname', username)) ? 'alter' : 'create'
  const [{ quoted } = { quoted: '' }] = await session.rows<{ quoted: string }>('select quote_literal($1) as quoted', [password])
  await session.run(
    `${verb} role ${quoteName(username)} with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls
     password ${quoted} connection limit ${maxConnections}`,
  )
  if (await exists('pg_database where datname', databaseName)) return
  await session.run(`create database ${quoteName(databaseName)} owner ${quoteName(username)}`)
  await session.run(`revoke all on database ${quoteName(databaseName)} from public`)
}

/** Makes the statistics of statements readable, unless the owner removed their schema. PostgreSQL lets only a superuser create this extension. */
export async function addStatistics(session: Connection): Promise<void> {
  if ((await session.rows("select 1 from pg_namespace where nspname = 'public'")).length === 0) return
  await session.run('create extension if not exists pg_stat_statements schema public')
}

/** Reloads the configuration files. Returns whether a setting takes effect only after a restart. Throws PortError SETTING_REJECTED. */
export async function reload(session: Connection): Promise<{ pendingRestart: boolean }> {
  const unapplied = await session.rows<{ name: string; error: string; restart: boolean }>(
    `select f.name, f.error, coalesce(s.context = 'postmaster', false) as restart
     from pg_file_settings f left join pg_settings s on s.name = f.name
     where not f.applied and f.error is not null`,
  )
  const refused = unapplied.find(({ restart }) => !restart)
  if (refused) throw new PortError('SETTING_REJECTED', `PostgreSQL refuses the setting ${refused.name}: ${refused.error}`)
  await session.rows('select pg_reload_conf()')
  return { pendingRestart: unapplied.length > 0 }
}

export async function measure(session: Connection, databaseName: string): Promise<Measured> {
  const [found] = await session.rows<Measured>(
    `select pg_database_size(datname)::float8 as "sizeBytes", numbackends as "activeConnections",
       blks_hit::float8 / nullif(blks_hit + blks_read, 0) as "cacheHitRatio", (xact_commit + xact_rollback)::float8 as transactions
     from pg_stat_database where datname = $1`,
    [databaseName],
  )
  if (!found) throw new PortError('UNREACHABLE', 'The database does not exist on its server.')
  return found
}
