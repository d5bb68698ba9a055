/**
 * A base backup of a running cluster, without stopping or locking anything. The files are copied while the server changes them; the WAL in the
 * archive makes them consistent. Recovery ends at `targetLsn`, where the content of the database is exactly that of the snapshot in which the
 * rows were counted.
 */
import { readdir } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { FileBackup } from '../../../domain/resources/backup/ports.ts'
import { type Connection, openConnection } from '../../../platform/db/connection.ts'
import { type ArchiveWriter, writeArchive } from './archive.ts'
import { controlFile, dataFiles } from './data-files.ts'
import { countRows } from './row-count.ts'
import { segmentsOf, type WalFormat } from './wal.ts'

export type BaseBackupRequest = {
  data: string
  /** Connection string of the database, as superuser. */
  url: string
  /** How long to wait for the end of transactions that are in progress. Beyond it, no rows are counted. */
  snapshotWaitMs: number
}

const lowestPriority = 19

/** Writes the archive to `out`. If it fails, `out` is destroyed, and the server ends the backup. */
export async function takeBaseBackup(request: BaseBackupRequest, out: Writable): Promise<FileBackup> {
  const archive = writeArchive(out)
  const sessions: Connection[] = []
  const connect = async (options: { replication?: boolean } = {}) => {
    const session = await openConnection(request.url, options)
    sessions.push(session)
    // A database without other work should not be slowed down either. Not permitted for a server of another user.
    try {
      setPriority(session.backendPid, lowestPriority)
    } catch {}
    return session
  }
  try {
    return await copyCluster(request, archive, connect)
  } catch (error) {
    archive.abort(error as Error)
    throw error
  } finally {
    // The server drops the temporary slots, and ends a backup that was not completed.
    await Promise.all(sessions.map((session) => session.close()))
  }
}

type Connect = (options?: { replication?: boolean }) => Promise<Connection>

async function copyCluster(request: BaseBackupRequest, archive: ArchiveWriter, connect: Connect): Promise<FileBackup> {
  const session = await connect()
  await session.run('set statement_timeout = 0; set lock_timeout = 0; set idle_session_timeout = 0; set synchronous_commit = on')
  const server = await readServer(session)
  // Keeps the WAL from here on until the session ends.
  const slot = `quayside_${session.backendPid}`
  await session.rows('select pg_create_physical_replication_slot($1, true, true)', [slot])
  const [started] = await session.rows<{ lsn: string }>("select pg_backup_start('quayside', true)::text as lsn")
  await copyData(request.data, archive)
  const label = await stopBackup(session)
  await archive.add('backup_label', Buffer.from(label))

  const point = await consistentPoint(connect, request.snapshotWaitMs)
  try {
    const target = await markTarget(session, point?.lsn ?? null)
    await copyWal(request.data, archive, segmentsOf(server, started!.lsn, target.endLsn))
    const rowCounts = point && (await countRows(point.snapshot))
    const digest = await archive.finish({
      systemIdentifier: server.systemIdentifier,
      timeline: server.timeline,
      startLsn: started!.lsn,
      endLsn: target.endLsn,
    })
    const { serverVersion, timeline, segmentBytes } = server
    return {
      ...digest,
      serverVersion,
      timeline,
      segmentBytes,
      startLsn: started!.lsn,
      targetLsn: target.lsn,
      targetTime: target.time,
      rowCounts,
    }
  } finally {
    await point?.snapshot.close()
  }
}

type Server = WalFormat & { serverVersion: string; systemIdentifier: string }

async function readServer(session: Connection): Promise<Server> {
  const [found] = await session.rows<Server>(
    `select current_setting('server_version') as "serverVersion", pg_size_bytes(current_setting('wal_segment_size'))::int as "segmentBytes",
            (select system_identifier::text from pg_control_system()) as "systemIdentifier",
            (select timeline_id from pg_control_checkpoint()) as timeline`,
  )
  return found!
}

async function copyData(data: string, archive: ArchiveWriter): Promise<void> {
  for await (const { path, kind } of dataFiles(data)) {
    if (kind === 'directory') await archive.directory(path)
    else await archive.copy(path, join(data, path))
  }
  await archive.copy(controlFile, join(data, controlFile))
}

/** Returns the content of `backup_label`. */
async function stopBackup(session: Connection): Promise<string> {
  const [stopped] = await session.rows<{ labelfile: string; spcmapfile: string }>('select labelfile, spcmapfile from pg_backup_stop(false)')
  if (stopped!.spcmapfile !== '')
    throw new Error('The database uses a tablespace outside its data directory, which backups do not support.')
  return stopped!.labelfile
}

type ConsistentPoint = { lsn: string; snapshot: Connection }

/**
 * A position in the WAL, and a session whose snapshot sees exactly the transactions that committed before it: what PostgreSQL determines for
 * the start of logical replication. An ordinary snapshot has no such position, because a commit enters the WAL before other sessions see it.
 * Null if transactions were in progress for too long.
 */
async function consistentPoint(connect: Connect, waitMs: number): Promise<ConsistentPoint | null> {
  const replication = await connect({ replication: true })
  const snapshot = await connect()
  const name = `quayside_${replication.backendPid}_logical`
  const giveUp = new AbortController()
  const created = replication.rows<{ consistent_point: string; snapshot_name: string }>(
    `CREATE_REPLICATION_SLOT "${name}" TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')`,
  )
  const late = delay(waitMs, null, { signal: giveUp.signal }).catch(() => null)
  const found = await Promise.race([created, late])
  giveUp.abort()
  if (found === null) {
    created.catch(() => {})
    await snapshot.rows('select pg_terminate_backend($1)', [replication.backendPid])
    await snapshot.close()
    return null
  }
  await snapshot.run('set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set transaction_timeout = 0')
  await snapshot.run('begin isolation level repeatable read read only')
  await snapshot.run(`set transaction snapshot '${found[0]!.snapshot_name}'`)
  // The slot would keep WAL. The snapshot no longer needs it.
  await replication.close()
  return { lsn: found[0]!.consistent_point, snapshot }
}

/**
 * Recovery stops before the first record at or after `lsn`, which therefore must exist: a restore point. The switch completes the segment
 * that contains it.
 */
async function markTarget(session: Connection, consistentLsn: string | null): Promise<{ lsn: string; endLsn: string; time: string }> {
  const [target] = await session.rows<{ lsn: string; time: string }>(
    `select coalesce($1, pg_current_wal_insert_lsn()::text) as lsn, to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time`,
    [consistentLsn],
  )
  const [end] = await session.rows<{ lsn: string }>(`select pg_create_restore_point('quayside backup')::text as lsn`)
  await session.rows('select pg_switch_wal()')
  return { lsn: target!.lsn, time: target!.time, endLsn: end!.lsn }
}

async function copyWal(data: string, archive: ArchiveWriter, segments: readonly string[]): Promise<void> {
  const histories = (await readdir(join(data, 'pg_wal'))).filter((name) => name.endsWith('.history'))
  for (const name of [...histories, ...segments]) await archive.copy(`pg_wal/${name}`, join(data, 'pg_wal', name))
}
