/** Backups of managed databases on this machine. Copies are restored aside, below DATA_DIR, and moved into place when they are complete. */
import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readdir, realpath, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BackupEngine, BackupErrorCode, FileBackup, RestoreTarget, StoredBackup } from '../../domain/resources/backup/ports.ts'
import type { DatabaseSpec } from '../../domain/resources/database/ports.ts'
import { quoteName, quoteText } from '../../platform/db/connection.ts'
import { PortError } from '../../platform/errors.ts'
import { checkArchive, connected, discard, type RecoveryTarget, restoreBackup, takeBackup, verifyBackup } from './backup/index.ts'
import { archivedFiles, archiveNow, demandComplete, lastChange, pruneArchive } from './backup/wal-archive.ts'
import type { Cluster } from './cluster.ts'
import { createClusters, locked, type ManagedCluster, type ManagedPostgresOptions } from './managed.ts'
import { superuserUrl } from './managed-client.ts'
import { superuser } from './managed-settings.ts'
import { socketDirOf } from './place.ts'
import { isServing } from './process.ts'

export type ManagedBackupOptions = ManagedPostgresOptions & {
  /** Free disk space that restores must leave. */
  reserveBytes: number
}

/** How long a backup waits for the end of transactions, so that rows can be counted. */
const snapshotWaitMs = 120_000

export function createManagedBackups(options: ManagedBackupOptions): BackupEngine<FileBackup> {
  const clusterOf = createClusters(options)
  const { reserveBytes } = options
  const aside = createAside(options, clusterOf)
  const walOf = async (id: string) => (await clusterOf({ id, port: 0 })).wal

  return {
    async backUp(source, store, signal) {
      const cluster = await clusterOf(source)
      if (!(await isServing(cluster))) throw unavailable('The database is not running.')
      const url = superuserUrl(cluster, source, source.databaseName)
      try {
        return await takeBackup({ data: cluster.data, url, snapshotWaitMs }, store, signal)
      } catch (error) {
        if (!signal.aborted && !(await isServing(cluster))) throw unavailable('The database stopped during the backup.', error)
        throw error
      }
    },

    check: checkArchive,

    async verify(id, backup, signal) {
      const cluster = await aside.open(id, backup.details)
      try {
        await verifyBackup({ backup, cluster, reserveBytes }, urlOfCopy(cluster, backup.original.databaseName), signal)
      } finally {
        await aside.close(cluster)
      }
    },

    async restore(database, backup, target, onStep, signal) {
      const place = await clusterOf(database)
      const cluster = await aside.open(database.id, backup.details)
      try {
        const to = await recoveryTarget(backup.details, target, clusterOf, signal)
        const recovery = { backup, cluster, target: to, reserveBytes, onChecked: () => onStep(1) }
        const adapt = () => connected(urlOfCopy(cluster, 'postgres'), signal, (session) => session.run(adaptation(database, backup)))
        await restoreBackup(recovery, signal, adapt).catch((error) => {
          // The database made no more changes after the time, so that recovery found no end.
          if (!isPort(error, 'WAL_MISSING') || !('time' in to) || target?.sourceIsRunning) throw error
          return restoreBackup({ ...recovery, target: { wal: to.wal } }, signal, adapt)
        })
        await onStep(2)
        await moveInto(place, cluster, signal)
        await onStep(3)
      } finally {
        await aside.close(cluster)
      }
    },

    sweep: aside.sweep,
    recordedUntil: async (id) => lastChange((await clusterOf({ id, port: 0 })).data),
    listWal: async (id) => archivedFiles(await walOf(id)),
    pruneWal: async (id, files, oldest) => pruneArchive(await walOf(id), files, oldest),
  }
}

type ClusterOf = ReturnType<typeof createClusters>

/** Places for copies. An interrupted attempt leaves one behind, which the next attempt with the same id removes. */
function createAside({ dataDir }: ManagedBackupOptions, clusterOf: ClusterOf) {
  const root = join(dataDir, 'restores')
  const names = (): Promise<string[]> => readdir(root).catch(() => [])
  const at = async (name: string): Promise<Cluster> => {
    await mkdir(root, { recursive: true, mode: 0o711 })
    const folder = join(await realpath(root), name)
    const { programs, account } = await clusterOf({ id: 'none', port: 0 })
    const files = { data: join(folder, 'data'), draft: join(folder, 'new'), log: join(folder, 'server.log') }
    return { programs, account, ...files, socketDir: socketDirOf(folder), port: 5432 }
  }
  const close = async (cluster: Cluster) => {
    await discard(cluster)
    await rm(join(cluster.data, '..'), { recursive: true, force: true })
  }
  return {
    async open(id: string, { serverVersion }: FileBackup): Promise<Cluster> {
      const cluster = await at(`${id}-${randomBytes(4).toString('hex')}`)
      const major = serverVersion.split('.')[0]
      if (major !== cluster.programs.major)
        throw new PortError<BackupErrorCode>(
          'NOT_SUPPORTED',
          `The backup is of PostgreSQL ${major}, which cannot be restored with PostgreSQL ${cluster.programs.major}.`,
        )
      const left = (await names()).filter((name) => name.startsWith(`${id}-`))
      for (const name of left) await close(await at(name))
      await mkdir(join(cluster.data, '..'), { mode: 0o711 })
      await cluster.account.adopt(join(cluster.data, '..'))
      return cluster
    },
    close,
    async sweep(inUse: () => Promise<readonly string[]>): Promise<void> {
      const found = await names()
      if (found.length === 0) return
      const used = await inUse()
      for (const name of found) if (!used.some((id) => name.startsWith(`${id}-`))) await close(await at(name))
    },
  }
}

/** A recovered copy accepts everyone who can enter the folder of its socket. */
const urlOfCopy = (copy: Cluster, database: string): string => superuserUrl(copy, { port: copy.port, superuserPassword: '' }, database)

async function recoveryTarget(
  details: FileBackup,
  target: RestoreTarget,
  clusterOf: ClusterOf,
  signal: AbortSignal,
): Promise<RecoveryTarget> {
  if (target === null) return { lsn: details.targetLsn }
  const { source, sourceIsRunning, time } = target
  const cluster = await clusterOf(source)
  const archive = cluster.wal
  if (sourceIsRunning) await connected(superuserUrl(cluster, source, 'postgres'), signal, (session) => archiveNow(session, archive, signal))
  // The last changes of a stopped server are not archived.
  const wal = sourceIsRunning ? [archive] : [archive, join(cluster.data, 'pg_wal')]
  await demandComplete(details, wal)
  return { time: time.toISOString(), wal }
}

/** Gives the copy the names and the superuser's password of the new database. The role's password is set at every start. */
function adaptation({ databaseName, username, superuserPassword }: DatabaseSpec, { original }: StoredBackup): string {
  const rename = (what: string, from: string, to: string) =>
    from === to ? [] : [`alter ${what} ${quoteName(from)} rename to ${quoteName(to)}`]
  return [
    // A failing statement is logged with its text, which contains the password.
    "set log_min_error_statement = 'panic'",
    ...rename('database', original.databaseName, databaseName),
    ...rename('role', original.username, username),
    `alter role ${quoteName(superuser)} password ${quoteText(superuserPassword)}`,
  ].join('; ')
}

async function moveInto(place: ManagedCluster, copy: Cluster, signal: AbortSignal): Promise<void> {
  await locked(place, async () => {
    signal.throwIfAborted()
    // An earlier attempt was interrupted after this step.
    if ((await lstat(place.data).catch(() => null)) === null) await rename(copy.data, place.data)
  })
}

const isPort = (error: unknown, code: BackupErrorCode): boolean => error instanceof PortError && error.code === code
const unavailable = (message: string, cause?: unknown): PortError<BackupErrorCode> =>
  new PortError('DATABASE_UNAVAILABLE', message, { cause })
