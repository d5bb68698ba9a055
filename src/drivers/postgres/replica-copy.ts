/** The first copy of a replica: the files of the running database, which the WAL that follows makes consistent. */
import { constants, copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReplicaSpec } from '../../domain/resources/database-replica/ports.ts'
import { openConnection } from '../../platform/db/connection.ts'
import { controlFile, dataFiles } from './backup/data-files.ts'
import type { ManagedCluster } from './managed.ts'
import { answered, superuserUrl } from './managed-client.ts'
import { leastSettings } from './managed-settings.ts'

/** Copies the database into an empty folder. The slot must exist, because it keeps the WAL from the beginning of the copy on. */
export async function copyPrimary(primary: ManagedCluster, { primary: database }: ReplicaSpec, draft: string): Promise<void> {
  const session = await openConnection(superuserUrl(primary, database, 'postgres'))
  try {
    // The settings of the database apply to this session too. It must outlast the copy.
    await answered(
      session.run('set statement_timeout = 0; set lock_timeout = 0; set idle_session_timeout = 0; set transaction_timeout = 0'),
    )
    const least = await answered(
      session.rows<{ name: string; setting: string }>('select name, setting from pg_settings where name = any($1)', [leastSettings]),
    )
    await answered(session.rows("select pg_backup_start('quayside replica', true)"))
    await copyFiles(primary, draft)
    const [stopped] = await answered(session.rows<{ labelfile: string; spcmapfile: string }>('select * from pg_backup_stop(false)'))
    if (stopped!.spcmapfile !== '')
      throw new Error('The database uses a tablespace outside its data directory, which replicas do not support.')
    const text = least.map(({ name, setting }) => `${name} = '${setting}'\n`).join('')
    for (const [name, content] of [
      ['backup_label', stopped!.labelfile],
      ['standby.signal', ''],
      // The start of the server raises these values and adds the others.
      ['postgresql.conf', text],
      ['postgresql.auto.conf', ''],
    ] as const) {
      await writeFile(join(draft, name), content, { mode: 0o600 })
      await primary.account.adopt(join(draft, name))
    }
  } finally {
    await session.close()
  }
}

async function copyFiles({ data, account }: ManagedCluster, draft: string): Promise<void> {
  const copy = async (path: string) => {
    await copyFile(join(data, path), join(draft, path), constants.COPYFILE_FICLONE)
    await account.adopt(join(draft, path))
  }
  for await (const { path, kind } of dataFiles(data)) {
    if (kind === 'file') await copy(path).catch(ignoreMissing)
    else {
      await mkdir(join(draft, path), { mode: 0o700 })
      await account.adopt(join(draft, path))
    }
  }
  await copy(controlFile)
}

/** A file that the server has removed since. The WAL says so too. */
function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
