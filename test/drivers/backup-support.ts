import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { FileBackup, StoredBackup } from '../../src/domain/resources/backup/ports.ts'
import { discard, takeBackup, verifyBackup } from '../../src/drivers/postgres/backup/index.ts'
import { type Cluster, findInstallation } from '../../src/drivers/postgres/cluster.ts'
import { startEmbeddedPostgres, stopEmbeddedPostgres } from '../../src/drivers/postgres/index.ts'
import { socketDirOf } from '../../src/drivers/postgres/place.ts'
import { type Connection, openConnection } from '../../src/platform/db/connection.ts'

export const never = new AbortController().signal

/** A backup in a file. */
export type Taken = Pick<StoredBackup<FileBackup>, 'details' | 'open'> & { file: string }

/** The error of work that must fail. */
export const problem = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => {
      throw new Error('it succeeded')
    },
    (error) => error,
  )

/** A running cluster with a WAL archive, and folders for its backups. Call `close` afterwards. */
export async function openSource() {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'quayside-test-')))
  const dataDir = join(folder, 'source')
  const wal = join(folder, 'wal')
  await mkdir(wal)
  const settings = {
    wal_level: 'logical',
    fsync: 'off',
    archive_mode: 'on',
    archive_library: 'basic_archive',
    'basic_archive.archive_directory': wal,
  }
  const { url } = await startEmbeddedPostgres({ dataDir, settings })
  const data = join(dataDir, 'postgres/18')
  const installation = await findInstallation({ root: folder, dataDir: folder, data, unshare: 'unshare' })
  const sessions: Connection[] = []
  const copies: Cluster[] = []
  let count = 0

  const connect = async (at = url) => {
    const session = await openConnection(at)
    sessions.push(session)
    return session
  }
  /** A cluster that does not exist yet, and the URL that it will have. */
  const newCluster = () => {
    const root = join(folder, `copy-${++count}`)
    const socketDir = socketDirOf(root)
    const cluster: Cluster = {
      ...installation,
      data: join(root, 'data'),
      draft: join(root, 'new'),
      log: join(root, 'log'),
      socketDir,
      port: 5432,
    }
    copies.push(cluster)
    return { cluster, url: `postgresql://quayside@localhost/quayside?host=${encodeURIComponent(socketDir)}` }
  }
  return {
    url,
    data,
    wal,
    folder,
    connect,
    newCluster,
    async backUp({ snapshotWaitMs = 60_000 } = {}): Promise<Taken> {
      const file = join(folder, `backup-${++count}.tar.zst`)
      const details: FileBackup = await takeBackup(
        { data, url, snapshotWaitMs },
        (archive) => pipeline(archive, createWriteStream(file)),
        never,
      )
      return { details, file, open: async () => createReadStream(file) }
    },
    verify(backup: Taken) {
      const { cluster, url: scratch } = newCluster()
      return verifyBackup({ backup, cluster, reserveBytes: 0 }, scratch, never)
    },
    async close() {
      await Promise.all(sessions.map((session) => session.close()))
      for (const cluster of copies) await discard(cluster)
      await stopEmbeddedPostgres({ dataDir })
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type Source = Awaited<ReturnType<typeof openSource>>
