/**
 * Snapshots of a database: copies under another name on its own server, which PostgreSQL creates and renames as a whole. The statements run on
 * a connection to another database that holds the lock of this one. All may be repeated after an interruption.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { DatabaseRef } from '../../domain/resources/database/ports.ts'
import { type Connection, quoteName } from '../../platform/db/connection.ts'
import { PortError } from '../../platform/errors.ts'

type Names = Pick<DatabaseRef, 'databaseName' | 'username'>

/** How long an action on a snapshot may take. Copying a large database takes minutes. */
export const snapshotMs = 3_600_000

const suffix = (snapshotId: string) => snapshotId.replaceAll('-', '')
const snapshotName = (snapshotId: string) => `snapshot_${suffix(snapshotId)}`
/** Name of the database that a snapshot has replaced, until it is dropped. */
const replacedName = (snapshotId: string) => `replaced_${suffix(snapshotId)}`

const objectInUse = '55006'
const retryMs = 100

/** Copies the database. PostgreSQL shows the copy only once it is complete. */
export async function takeSnapshot(session: Connection, database: Names, snapshotId: string): Promise<void> {
  const snapshot = snapshotName(snapshotId)
  await demandDatabase(session, database)
  await drop(session, snapshot)
  await whileClosed(session, database, async () => {
    const [{ version } = { version: 0 }] = await session.rows<{ version: number }>(
      "select current_setting('server_version_num')::int as version",
    )
    // Before version 15, files are copied too, but there is no word for it. Otherwise, the copy would go through the write-ahead log.
    const strategy = version >= 150_000 ? 'strategy file_copy' : ''
    const [name, owner, template] = [snapshot, database.username, database.databaseName].map((part) => quoteName(part))
    await session.run(`create database ${name} owner ${owner} template ${template} ${strategy}`)
    await session.run(`revoke all on database ${name} from public`)
  })
}

/** Puts the snapshot in the place of the database, whose data is dropped. Returns false, without a change, if there is no such snapshot. */
export async function restoreSnapshot(session: Connection, database: Names, snapshotId: string): Promise<boolean> {
  const [snapshot, replaced] = [snapshotName(snapshotId), replacedName(snapshotId)]
  const isStored = await exists(session, snapshot)
  if (isStored) {
    await whileClosed(session, database, async () => {
      await drop(session, replaced)
      const rename = (from: string, to: string) => `alter database ${quoteName(from)} rename to ${quoteName(to)}`
      const isThere = await exists(session, database.databaseName)
      // PostgreSQL runs the statements of one text in a transaction.
      await session.run([...(isThere ? [rename(database.databaseName, replaced)] : []), rename(snapshot, database.databaseName)].join('; '))
    })
  }
  await drop(session, replaced)
  await open(session, database)
  return isStored
}

/** Drops the snapshot, and lets clients in again if an interrupted action kept them out. */
export async function removeSnapshot(session: Connection, database: Names, snapshotId: string): Promise<void> {
  for (const name of [snapshotName(snapshotId), replacedName(snapshotId)]) await drop(session, name)
  await open(session, database)
}

const exists = async (session: Connection, name: string): Promise<boolean> =>
  (await session.rows('select 1 from pg_database where datname = $1', [name])).length > 0

const drop = (session: Connection, name: string): Promise<number> => session.run(`drop database if exists ${quoteName(name)} with (force)`)

async function demandDatabase(session: Connection, { databaseName }: Names): Promise<void> {
  if (!(await exists(session, databaseName))) throw new PortError('UNREACHABLE', 'The database does not exist on its server.')
}

/** Runs `work` while no client is connected and none can connect. Neither the role nor the database appears to be stopped meanwhile. */
async function whileClosed(session: Connection, database: Names, work: () => Promise<void>): Promise<void> {
  const { databaseName } = database
  if (await exists(session, databaseName)) await session.run(`alter database ${quoteName(databaseName)} connection limit 0`)
  try {
    for (;;) {
      await closeConnections(session, databaseName)
      try {
        await work()
        break
      } catch (error) {
        // The superuser, such as for a backup, is not subject to the limit.
        if ((error as { code?: string }).code !== objectInUse) throw error
        await delay(retryMs)
      }
    }
  } finally {
    await open(session, database).catch(() => {})
  }
}

const open = async (session: Connection, { databaseName }: Names): Promise<void> => {
  if (await exists(session, databaseName)) await session.run(`alter database ${quoteName(databaseName)} connection limit -1`)
}

async function closeConnections(session: Connection, databaseName: string): Promise<void> {
  const others = 'from pg_stat_activity where datname = $1 and usename is not null and pid <> pg_backend_pid()'
  while ((await session.rows(`select pg_terminate_backend(pid) ${others}`, [databaseName])).length > 0) await delay(retryMs / 2)
}
