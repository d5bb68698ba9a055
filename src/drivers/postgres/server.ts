/**
 * Managed databases on a PostgreSQL server that exists, which its operator runs and other programs may use too. Quayside creates a role and a
 * database for each, and lets clients in or refuses them. It connects to its own databases only as their role: what their owners
 * put into them never runs with Quayside's rights.
 */
import type { DatabaseEngine, DatabaseFailureCode, DatabaseRef, ObservedDatabase } from '../../domain/resources/database/ports.ts'
import type { Connection } from '../../platform/db/connection.ts'
import { PortError } from '../../platform/errors.ts'
import type { Secret } from '../../platform/settings.ts'
import { checkRole, connected, measure, queryAsRole, refusal, underLock } from './managed-client.ts'
import { admit, demandSettable, dismiss, drop, prepare, runningAmong } from './server-admin.ts'
import { removeSnapshot, restoreSnapshot, snapshotMs, takeSnapshot } from './snapshot.ts'

const answerMs = 30_000
/** How long a question about the present state waits. */
const glanceMs = 2_000

type Address = { url: string; host: string; port: number }

/** `url`: connects as a role that may create roles and databases. When it is unset, all databases are unreachable. */
export function createServerPostgres(url: Secret | undefined): Omit<DatabaseEngine, 'usage'> {
  const address = url && addressOf(url.reveal())

  /** The server, which must be the one that the database is on. */
  const serverOf = ({ host, port }: Pick<DatabaseRef, 'host' | 'port'>): Address => {
    if (address?.host === host && address.port === port) return address
    throw unreachable(`The database is on the server ${host}:${port}, which the setting MANAGED_POSTGRES_URL does not name.`)
  }
  const administer = <T>({ url }: Address, work: (session: Connection) => Promise<T>, withinMs = answerMs): Promise<T> =>
    connected(url, work, withinMs).catch((error) => {
      throw refusal(error)
    })
  /** One process at a time changes a database. The server drops the lock with the connection. */
  const change = <T>(database: DatabaseRef, work: (session: Connection) => Promise<T>, withinMs?: number): Promise<T> =>
    administer(serverOf(database), (session) => underLock(session, database, () => work(session)), withinMs)

  return {
    async place() {
      if (!address) throw unreachable('The setting MANAGED_POSTGRES_URL is not set.')
      const { host, port } = address
      return { host, candidates: [port], ownsPort: false, version: await administer(address, versionOf, glanceMs) }
    },

    async observe(databases) {
      const states = new Map<string, ObservedDatabase>(databases.map(({ id }) => [id, 'unreachable']))
      const here = databases.filter(({ host, port }) => address?.host === host && address.port === port)
      if (!address || here.length === 0) return states
      // Each action that follows fails with the reason, so that the databases show it.
      const running = await administer(address, (session) => runningAmong(session, here), glanceMs).catch(() => null)
      for (const { id } of running ? here : []) states.set(id, running?.has(id) ? 'running' : 'stopped')
      return states
    },

    async start(spec) {
      await change(spec, async (session) => {
        await demandSettable(session, spec)
        await prepare(session, spec)
        await admit(session, spec, { open: true })
      })
      await checkRole(spec)
    },

    async apply(spec) {
      await change(spec, async (session) => {
        await demandSettable(session, spec)
        await admit(session, spec, { open: false })
      })
      return { pendingRestart: false }
    },

    stop: (database) => change(database, (session) => dismiss(session, database)),

    remove: (database) =>
      change(database, async (session) => {
        await dismiss(session, database)
        await drop(session, database)
      }),

    query: queryAsRole,

    takeSnapshot: (spec, snapshotId) => change(spec, (session) => takeSnapshot(session, spec, snapshotId), snapshotMs),

    restoreSnapshot: (spec, snapshotId) =>
      change(
        spec,
        async (session) => {
          const isRestored = await restoreSnapshot(session, spec, snapshotId)
          // Settings of the role in its database are not part of the copy.
          if (isRestored) await admit(session, spec, { open: true })
          return isRestored
        },
        snapshotMs,
      ),

    removeSnapshot: (spec, snapshotId) => change(spec, (session) => removeSnapshot(session, spec, snapshotId), snapshotMs),

    measure: async (spec) => administer(serverOf(spec), (session) => measure(session, spec.databaseName), glanceMs),
  }
}

export function addressOf(text: string): Address {
  const url = new URL(text)
  // A role has seldom a database of its own name, which is where PostgreSQL's clients connect by default.
  if (url.pathname.length <= 1) url.pathname = '/postgres'
  return { url: url.href, host: url.hostname, port: Number(url.port || 5432) }
}

const oldest = 14

async function versionOf(session: Connection): Promise<string> {
  const [found] = await session.rows<{ version: string }>("select split_part(current_setting('server_version'), ' ', 1) as version")
  const version = found?.version ?? ''
  if (Number.parseInt(version, 10) >= oldest) return version
  throw unreachable(`The server of MANAGED_POSTGRES_URL is PostgreSQL ${version}. Managed databases require ${oldest} or newer.`)
}

const unreachable = (message: string, cause?: unknown): PortError<DatabaseFailureCode> => new PortError('UNREACHABLE', message, { cause })
