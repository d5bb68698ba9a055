/** The archived WAL of a database: which of it a restore needs, whether it is complete, and what can be removed. */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BackupErrorCode, FileBackup } from '../../../domain/resources/backup/ports.ts'
import type { Connection } from '../../../platform/db/connection.ts'
import { PortError } from '../../../platform/errors.ts'
import { isSegment, segmentAfter, segmentAt } from './wal.ts'

type Start = Pick<FileBackup, 'startLsn' | 'timeline' | 'segmentBytes'>

/** How long to wait for the server to archive a segment. */
const archiveWaitMs = 60_000
const pollMs = 100

/** Files of archived WAL: segments and what the server archives beside them. */
export const archivedFiles = async (folder: string): Promise<string[]> =>
  (await list(folder)).filter((name) => /^[0-9A-F]{8}(\.history$|[0-9A-F]{16}(\.[0-9A-F]{8}\.backup)?$)/.test(name))

/** Removes those of the files that precede the start of a backup, or all of them. Returns the size of the others. History files stay: they are small. */
export async function pruneArchive(folder: string, files: readonly string[], oldest: Start | null): Promise<number> {
  const first = oldest && segmentAt(oldest, oldest.startLsn)
  let keptBytes = 0
  for (const name of files) {
    const path = join(folder, name)
    const isNeeded = name.endsWith('.history') || (first !== null && name.slice(8, 24) >= first.slice(8))
    if (isNeeded) keptBytes += (await stat(path).catch(() => null))?.size ?? 0
    else await rm(path, { force: true })
  }
  return keptBytes
}

/** Makes a running server archive everything that has happened up to now, and waits until it has. */
export async function archiveNow(session: Connection, folder: string, signal: AbortSignal): Promise<void> {
  // A commit after the requested time tells recovery where to stop.
  await session.run('set synchronous_commit = on')
  await session.run('begin; select pg_current_xact_id(); commit')
  const [switched] = await session.rows<{ name: string }>('select pg_walfile_name(pg_switch_wal()) as name')
  for (const deadline = performance.now() + archiveWaitMs; ; await delay(pollMs, undefined, { signal })) {
    if ((await list(folder)).includes(switched!.name)) return
    if (performance.now() > deadline) throw missing('The database has not archived its latest changes in time. The disk may be full.')
  }
}

/** Throws PortError WAL_MISSING if there is a gap in the segments since the start of a backup. */
export async function demandComplete(start: Start, folders: readonly string[]): Promise<void> {
  const names = new Set((await Promise.all(folders.map(list))).flat().filter(isSegment))
  const timeline = segmentAt(start, start.startLsn).slice(0, 8)
  const own = [...names].filter((name) => name.startsWith(timeline)).sort()
  const last = own.at(-1)
  let name = segmentAt(start, start.startLsn)
  // The archive of the backup contains the first segments.
  for (const first = own.find((one) => one >= name) ?? name; name < first; ) name = segmentAfter(name, start.segmentBytes)
  for (; last !== undefined && name < last; name = segmentAfter(name, start.segmentBytes)) {
    if (!names.has(name)) throw missing(`The archived changes of the database have a gap: ${name} is missing.`)
  }
}

/** Time of the last change of a stopped server's data directory. Null if there is none. */
export async function lastChange(data: string): Promise<Date | null> {
  const wal = (await list(join(data, 'pg_wal'))).filter(isSegment).map((name) => join(data, 'pg_wal', name))
  const times = await Promise.all([...wal, join(data, 'global/pg_control')].map((path) => stat(path).catch(() => null)))
  const latest = Math.max(...times.map((found) => found?.mtimeMs ?? 0))
  return latest > 0 ? new Date(latest) : null
}

const list = async (folder: string): Promise<string[]> => readdir(folder).catch(() => [])

const missing = (message: string): PortError<BackupErrorCode> => new PortError('WAL_MISSING', message)
