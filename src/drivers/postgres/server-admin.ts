/** The statements that create, open, close and remove a database on a shared server. All may be repeated after an interruption. */
import { setTimeout as delay } from 'node:timers/promises'
import type { DatabaseRef, DatabaseSpec } from '../../domain/resources/database/ports.ts'
import { type Connection, quoteName, quoteText } from '../../platform/db/connection.ts'
import { PortError } from '../../platform/errors.ts'
import { scramVerifier } from './scram.ts'

type Names = Pick<DatabaseRef, 'databaseName' | 'username'>
type State = { roleExists: boolean; canLogin: boolean; owner: string | null }

/** Ids of the databases that clients can connect to. */
export async function runningAmong(session: Connection, databases: readonly DatabaseRef[]): Promise<ReadonlySet<string>> {
  const found = await session.rows<{ id: string }>(
    `select x.id from unnest($1::text[], $2::text[], $3::text[]) as x(id, database_name, username)
     join pg_database d on d.datname = x.database_name and d.datallowconn
     join pg_roles r on r.rolname = x.username and r.rolcanlogin and r.oid = d.datdba`,
    [databases.map(({ id }) => id), databases.map(({ databaseName }) => databaseName), databases.map(({ username }) => username)],
  )
  return new Set(found.map(({ id }) => id))
}

/** Throws PortError SETTING_REJECTED for a setting that applies to all databases of the server. */
export async function demandSettable(session: Connection, { settings }: DatabaseSpec): Promise<void> {
  const names = Object.keys(settings)
  const [refused] = await session.rows<{ name: string; known: boolean }>(
    `select x.name, s.name is not null as known from unnest($1::text[]) as x(name) left join pg_settings s on s.name = x.name
     where coalesce(s.context not in ('user', 'superuser'), true) order by x.name limit 1`,
    [names],
  )
  if (!refused) return
  const reason = refused.known ? 'applies to all databases of its server' : 'is unknown to the server'
  throw new PortError('SETTING_REJECTED', `The setting ${refused.name} ${reason}, so it cannot be set for this database. Reset it to null.`)
}

/** Creates the role and its database if they are missing. Nobody can connect before `admit`. */
export async function prepare(session: Connection, { databaseName, username }: Names): Promise<void> {
  const { roleExists, canLogin, owner } = await stateOf(session, { databaseName, username })
  const [role, database] = [quoteName(username), quoteName(databaseName)]
  if (owner !== null && owner !== username)
    throw new PortError('UNREACHABLE', `The database ${databaseName} on the server belongs to another role.`)
  // The role logs in only once its database is complete, and is kept from it before the database is dropped.
  if (canLogin && owner === null)
    throw new PortError('UNREACHABLE', `The database ${databaseName} is missing on the server, although Quayside did not remove it.`)
  if (!roleExists) await session.run(`create role ${role} nologin`)
  const [self] = await session.rows<{ isSuperuser: boolean }>('select rolsuper as "isSuperuser" from pg_roles where rolname = current_user')
  // Only members of a role can create and change what belongs to it.
  if (!self?.isSuperuser) await session.run(`grant ${role} to current_user`)
  if (owner === null) await session.run(`create database ${database} owner ${role} template template0 allow_connections false`)
  await session.run(`revoke all on database ${database} from public`)
}

/** Applies password, limit and settings, and with `open` lets the role in. All or nothing. */
export async function admit(session: Connection, spec: DatabaseSpec, { open }: { open: boolean }): Promise<void> {
  const [role, database] = [quoteName(spec.username), quoteName(spec.databaseName)]
  // Settings of the role in its database, not those of the database, which belong to its owner.
  const ofRole = `alter role ${role} in database ${database}`
  const statements = [
    `${ofRole} reset all`,
    ...Object.entries(spec.settings).map(([name, value]) => `${ofRole} set ${quoteName(name)} to ${quoteText(value)}`),
    `alter role ${role} ${open ? 'login' : ''} password ${quoteText(await scramVerifier(spec.password))} connection limit ${spec.maxConnections}`,
    ...(open ? [`alter database ${database} allow_connections true`] : []),
  ]
  // PostgreSQL runs the statements of one text in a transaction.
  await session.run(statements.join('; '))
}

const endWaitMs = 50

/** Refuses new connections, and ends the existing ones. */
export async function dismiss(session: Connection, { databaseName, username }: Names): Promise<void> {
  const { roleExists, owner } = await stateOf(session, { databaseName, username })
  const statements = [
    // Without it, the owner could let itself in again from another database.
    ...(roleExists ? [`alter role ${quoteName(username)} nologin`] : []),
    ...(owner === username ? [`alter database ${quoteName(databaseName)} allow_connections false`] : []),
  ]
  if (statements.length > 0) await session.run(statements.join('; '))
  for (;;) {
    const ended = await session.rows(
      'select pg_terminate_backend(pid) from pg_stat_activity where usename is not null and (datname = $1 or usename = $2)',
      [owner === username ? databaseName : null, username],
    )
    if (ended.length === 0) return
    await delay(endWaitMs)
  }
}

/** Removes the database with its data, and the role. */
export async function drop(session: Connection, { databaseName, username }: Names): Promise<void> {
  const { roleExists, owner } = await stateOf(session, { databaseName, username })
  const role = quoteName(username)
  if (owner === username) await session.run(`drop database ${quoteName(databaseName)} with (force)`)
  if (!roleExists) return
  // Rights and objects outside of its database would keep the role from being removed.
  await session.run(`drop owned by ${role}; drop role ${role}`)
}

async function stateOf(session: Connection, { databaseName, username }: Names): Promise<State> {
  const [state] = await session.rows<State>(
    `select exists (select from pg_roles where rolname = $2) as "roleExists",
       exists (select from pg_roles where rolname = $2 and rolcanlogin) as "canLogin",
       (select pg_get_userbyid(datdba) from pg_database where datname = $1) as owner`,
    [databaseName, username],
  )
  return state!
}
