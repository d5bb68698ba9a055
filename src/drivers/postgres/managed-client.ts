/** Connections to managed databases: as superuser over the socket, to create and measure; as the role over TCP, to see that it works. */
import pg from 'pg'
import type { DatabaseSpec, Measured } from '../../domain/resources/database/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { Cluster } from './cluster.ts'
import { superuser } from './managed-settings.ts'

const connectMs = 5_000
const statementMs = 30_000

const identifier = pg.escapeIdentifier
const literal = pg.escapeLiteral

/** Runs `work` on a connection of its own, which is closed afterwards. Throws PortError UNREACHABLE if the server does not accept it. */
export async function connected<T>(config: pg.ClientConfig, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionTimeoutMillis: connectMs,
    query_timeout: statementMs,
    application_name: 'quayside',
    ...config,
  })
  // The error reaches the statement in progress, too.
  client.on('error', () => {})
  try {
    await client.connect().catch((cause: Error) => {
      throw new PortError('UNREACHABLE', `The database does not accept connections: ${cause.message}`, { cause })
    })
    return await work(client)
  } finally {
    client.end().catch(() => {})
  }
}

export const asSuperuser = <T>(
  { socketDir }: Pick<Cluster, 'socketDir'>,
  { port, superuserPassword }: Pick<DatabaseSpec, 'port' | 'superuserPassword'>,
  database: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> => connected({ host: socketDir, port, user: superuser, password: superuserPassword, database }, work)

/** Runs a query as clients do: over TCP, as the role. */
export const checkRole = (host: string, { port, databaseName, username, password }: DatabaseSpec): Promise<void> =>
  connected({ host, port, user: username, password, database: databaseName }, async (client) => {
    await client.query('select 1')
  })

/** Creates the role and its database if they are missing, and sets password and connection limit. */
export async function provision(client: pg.Client, { databaseName, username, password, maxConnections }: DatabaseSpec): Promise<void> {
  // A failing statement is logged with its text, which contains the password.
  await client.query("set log_min_error_statement = 'panic'")
  const { rowCount: hasRole } = await client.query('select 1 from pg_roles where rolname = $1', [username])
  await client.query(
    `${hasRole ? 'alter' : 'create'} role ${identifier(username)} with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls
     password ${literal(password)} connection limit ${maxConnections}`,
  )
  const { rowCount: hasDatabase } = await client.query('select 1 from pg_database where datname = $1', [databaseName])
  if (hasDatabase) return
  await client.query(`create database ${identifier(databaseName)} owner ${identifier(username)}`)
  await client.query(`revoke all on database ${identifier(databaseName)} from public`)
}

/** Reloads the configuration files. Returns whether a setting takes effect only after a restart. Throws PortError SETTING_REJECTED. */
export async function reload(client: pg.Client): Promise<{ pendingRestart: boolean }> {
  const { rows } = await client.query<{ name: string; error: string | null; restart: boolean }>(
    `select f.name, f.error, coalesce(s.context = 'postmaster', false) as restart
     from pg_file_settings f left join pg_settings s on s.name = f.name where not f.applied`,
  )
  const refused = rows.find(({ restart }) => !restart)
  if (refused) throw new PortError('SETTING_REJECTED', `PostgreSQL refuses the setting ${refused.name}: ${refused.error}`)
  await client.query('select pg_reload_conf()')
  return { pendingRestart: rows.length > 0 }
}

export async function measure(client: pg.Client, databaseName: string): Promise<Measured> {
  const { rows } = await client.query<Record<keyof Measured, string | null>>({
    text: `select pg_database_size(datname) as "sizeBytes", numbackends as "activeConnections",
             blks_hit::float8 / nullif(blks_hit + blks_read, 0) as "cacheHitRatio", xact_commit + xact_rollback as transactions
           from pg_stat_database where datname = $1`,
    values: [databaseName],
  })
  const [found] = rows
  if (!found) throw new PortError('UNREACHABLE', 'The database does not exist on its server.')
  return {
    sizeBytes: Number(found.sizeBytes),
    activeConnections: Number(found.activeConnections),
    cacheHitRatio: found.cacheHitRatio === null ? null : Number(found.cacheHitRatio),
    transactions: Number(found.transactions),
  }
}
