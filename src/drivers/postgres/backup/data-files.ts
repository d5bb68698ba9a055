/**
 * Which files of a running cluster's data directory belong to a base backup, according to "Making a Base Backup Using the Low Level API" in
 * PostgreSQL's manual. The server may create, change and remove files at any time.
 */
import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** `path` is relative to the data directory. */
export type DataFile = { path: string; kind: 'file' | 'directory' }

/** Copied last, because a reader of it must find everything else that it describes. */
export const controlFile = 'global/pg_control'

/** Their content is created anew when the server starts. The WAL is added separately. */
const emptied = new Set(
  ['dynshmem', 'notify', 'replslot', 'serial', 'snapshots', 'stat_tmp', 'subtrans', 'wal'].map((name) => `pg_${name}`),
)
const omittedAtTop = new Set([
  'postmaster.pid',
  'postmaster.opts',
  'postgresql.auto.conf.tmp',
  'current_logfiles',
  'current_logfiles.tmp',
  'backup_label',
  'backup_label.old',
  'backup_manifest',
  'tablespace_map',
  'tablespace_map.old',
  'recovery.signal',
  'standby.signal',
])
const omittedAnywhere = /^(pgsql_tmp|pg_internal\.init)/
/** Files of a temporary relation, whose session does not exist in a copy. */
const temporary = /^t\d+_\d+(_\w+)?(\.\d+)?$/
const relation = /^(\d+)(_(?:fsm|vm|init))?(\.\d+)?$/
const subfoldersOfWal = ['pg_wal/archive_status', 'pg_wal/summaries']

/** All files and folders of a base backup, each folder before its content, except the control file. */
export async function* dataFiles(data: string): AsyncGenerator<DataFile> {
  yield* content(data, '')
  for (const path of subfoldersOfWal) yield { path, kind: 'directory' }
}

async function* content(data: string, folder: string): AsyncGenerator<DataFile> {
  const entries = await list(join(data, folder))
  const unlogged = new Set(entries.map(({ name }) => relation.exec(name)).flatMap((found) => (found?.[2] === '_init' ? [found[1]] : [])))
  for (const entry of entries) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (isOmitted(path, entry.name, unlogged)) continue
    if (entry.isDirectory()) {
      yield { path, kind: 'directory' }
      if (!emptied.has(path)) yield* content(data, path)
    } else if (entry.isFile()) {
      yield { path, kind: 'file' }
    } else if (folder === 'pg_tblspc') {
      throw new Error('The database uses a tablespace outside its data directory, which backups do not support.')
    }
  }
}

function isOmitted(path: string, name: string, unlogged: ReadonlySet<string | undefined>): boolean {
  if (path === name && omittedAtTop.has(name)) return true
  if (path === controlFile || omittedAnywhere.test(name) || temporary.test(name)) return true
  // Recovery recreates an unlogged relation from its init fork.
  const found = relation.exec(name)
  return found !== null && found[2] !== '_init' && unlogged.has(found[1])
}

/** Nothing for a folder that was removed in the meantime. */
async function list(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
