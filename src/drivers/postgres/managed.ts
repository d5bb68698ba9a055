/**
 * Managed databases on this machine: each one is a cluster of its own below DATA_DIR, with a TCP port on loopback for clients and a unix socket
 * for Quayside, which alone knows the superuser's password. Servers outlive this process.
 */
import { mkdir, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseEngine, DatabaseRef, DatabaseSpec } from '../../domain/resources/database/ports.ts'
import type { Connection } from '../../platform/db/connection.ts'
import { PortError } from '../../platform/errors.ts'
import { freePorts, isPortFree, listenerOf, type PortRange } from '../../platform/loopback-port.ts'
import { markOf } from '../../platform/process-mark.ts'
import { machineCapacity, readProcessTree } from '../../platform/process-usage.ts'
import type { Usage } from '../../platform/usage.ts'
import { type Cluster, configure, findInstallation, initialData, startCluster, stopCluster } from './cluster.ts'
import { withFileLock } from './lock.ts'
import {
  addStatistics,
  checkRole,
  connected,
  measure,
  provision,
  queryAsRole,
  refusal,
  reload,
  superuserUrl,
  underLock,
} from './managed-client.ts'
import { accessRules, serverSettings, superuser } from './managed-settings.ts'
import { socketDirOf } from './place.ts'
import { findProcesses, isServing, servingPid } from './process.ts'
import { findPrograms, packageFault } from './program.ts'
import { createResponseWatch, type ResponseTimes, type ResponseWatch } from './response.ts'
import { removeSnapshot, restoreSnapshot, snapshotMs, takeSnapshot } from './snapshot.ts'

export type ManagedPostgresOptions = {
  /** The clusters are in `databases/<id>` below it. */
  dataDir: string
  ports: PortRange
  /** Command that creates user namespaces, needed only by root. Defaults to `unshare` in the PATH. */
  unshare?: string
  responseTimes?: ResponseTimes
}

/** The cluster of a database. `folder` contains its data directory, the archived WAL (`wal`), the log and a lock. */
export type ManagedCluster = Cluster & { folder: string; wal: string }

const host = '127.0.0.1'
const measureMs = 2_000
/** How long a stop of everything waits for an action in progress. */
const stopWaitMs = 5_000

export function createManagedPostgres(options: ManagedPostgresOptions): DatabaseEngine {
  const clusterOf = createClusters(options)
  const watch = createResponseWatch(options.responseTimes)
  /** On a connection that holds a lock of the database. A server that is stopped meanwhile ends it. */
  const onSnapshot = async <T>(spec: DatabaseSpec, work: (session: Connection) => Promise<T>): Promise<T> => {
    const url = superuserUrl(await clusterOf(spec), spec, 'postgres')
    return connected(url, (session) => underLock(session, spec, () => work(session)), snapshotMs).catch((error) => {
      throw refusal(error)
    })
  }
  return {
    async place(_origin, taken) {
      await demandPrograms()
      const candidates = await freePorts(options.ports, taken)
      return { host, candidates, ownsPort: true, version: (await findPrograms()).version.replace(/-.*/, '') }
    },

    async observe(databases) {
      const stateOf = async (one: DatabaseRef) => observedState(await clusterOf(one), watch)
      return new Map(await Promise.all(databases.map(async (one) => [one.id, await stateOf(one)] as const)))
    },

    async start(spec) {
      const cluster = await clusterOf(spec)
      await locked(cluster, async () => {
        if (!(await isServing(cluster))) await demandPort(spec.port, 'database')
        await startServer(cluster, spec)
        await connected(superuserUrl(cluster, spec, 'postgres'), (session) => provision(session, spec))
        await connected(superuserUrl(cluster, spec, spec.databaseName), addStatistics)
        await checkRole(spec)
      })
    },

    async apply(spec) {
      const cluster = await clusterOf(spec)
      return locked(cluster, async () => {
        await configure(cluster, serverSettings(spec, cluster.wal), accessRules(spec))
        return connected(superuserUrl(cluster, spec, 'postgres'), async (session) => {
          await provision(session, spec)
          return reload(session)
        })
      })
    },

    async stop(database) {
      const cluster = await clusterOf(database)
      await locked(cluster, () => stopCluster(cluster))
    },

    async remove(database) {
      const cluster = await clusterOf(database)
      await locked(cluster, async () => {
        await stopCluster(cluster)
        watch.forget(cluster)
        await rm(cluster.folder, { recursive: true, force: true, maxRetries: 3 })
      })
    },

    query: queryAsRole,

    takeSnapshot: (spec, snapshotId) => onSnapshot(spec, (session) => takeSnapshot(session, spec, snapshotId)),
    restoreSnapshot: (spec, snapshotId) => onSnapshot(spec, (session) => restoreSnapshot(session, spec, snapshotId)),
    removeSnapshot: (spec, snapshotId) => onSnapshot(spec, (session) => removeSnapshot(session, spec, snapshotId)),

    async usage(databases) {
      const usage = new Map<string, Usage>()
      const tree = await readProcessTree()
      for (const database of databases) {
        const pid = await servingPid(await clusterOf(database))
        const server = pid === null ? null : markOf(pid)
        const used = server && tree.usage(server)
        // The processes of a server share most of its memory.
        if (used) usage.set(database.id, { ...used, memoryBytes: tree.memoryOnce(server) ?? used.memoryBytes })
      }
      return { usage, capacity: machineCapacity() }
    },

    measure: async (spec) =>
      connected(superuserUrl(await clusterOf(spec), spec, 'postgres'), (session) => measure(session, spec.databaseName), measureMs),
  }
}

export async function observedState(cluster: ManagedCluster, watch: ResponseWatch): Promise<'running' | 'silent' | 'stopped'> {
  const pid = await servingPid(cluster)
  if (pid === null) return 'stopped'
  return watch.isSilent(cluster, pid) ? 'silent' : 'running'
}

async function demandPrograms(): Promise<void> {
  const fault = await packageFault()
  if (fault !== null) throw new PortError('NOT_INSTALLED', fault)
}

/** Stops all managed databases of `dataDir`, whatever state they are in. Their data is kept. Returns how many were running. */
export async function stopManagedPostgres(options: Pick<ManagedPostgresOptions, 'dataDir' | 'unshare'>): Promise<number> {
  const names = await readdir(join(options.dataDir, 'databases'), { withFileTypes: true }).catch(() => [])
  const clusterOf = createClusters(options)
  const stopped = names
    .filter((entry) => entry.isDirectory())
    .map(async ({ name }) => {
      // The port is only needed to remove the socket of a killed server, which the next start does too.
      const cluster = await clusterOf({ id: name, port: 0 })
      const { all } = await findProcesses(cluster.data)
      if (all.length > 0 || (await findProcesses(cluster.draft)).all.length > 0)
        await locked(cluster, () => stopCluster(cluster), stopWaitMs)
      return all.length > 0
    })
  return (await Promise.all(stopped)).filter(Boolean).length
}

/** Finds the clusters of databases. The binaries and the account that runs them are determined at the first use. */
export function createClusters({ dataDir, unshare = 'unshare' }: Pick<ManagedPostgresOptions, 'dataDir' | 'unshare'>) {
  const install = async () => {
    await demandPrograms()
    const folder = join(dataDir, 'databases')
    await mkdir(folder, { recursive: true, mode: 0o711 })
    const root = await realpath(folder)
    return { root, installation: await findInstallation({ root, dataDir, data: root, unshare }) }
  }
  let installed: ReturnType<typeof install> | undefined
  return async ({ id, port }: Pick<DatabaseRef, 'id' | 'port'>): Promise<ManagedCluster> => {
    installed ??= install().catch((error) => {
      installed = undefined
      throw error
    })
    const { root, installation } = await installed
    const folder = join(root, id)
    const socketDir = socketDirOf(root)
    return {
      ...installation,
      folder,
      wal: join(folder, 'wal'),
      data: join(folder, 'data'),
      draft: join(folder, 'new'),
      log: join(folder, 'server.log'),
      socketDir,
      port,
    }
  }
}

/** One process at a time changes a cluster. */
export async function locked<T>({ folder, wal, account }: ManagedCluster, work: () => Promise<T>, atMostMs?: number): Promise<T> {
  await mkdir(wal, { recursive: true, mode: 0o700 })
  for (const path of [folder, wal]) await account.adopt(path)
  return withFileLock(join(folder, 'lock'), work, atMostMs)
}

/** Throws PortError PORT_TAKEN, naming the program that listens on the port. `noun` has it. */
export async function demandPort(port: number, noun: string): Promise<void> {
  if (await isPortFree(port)) return
  const found = await listenerOf(port)
  const listener = found ? `${found.program} (pid ${found.pid})` : 'another program'
  throw new PortError('PORT_TAKEN', `Port ${port} of the ${noun} is in use by ${listener}. The ${noun} starts when the port is free.`)
}

async function startServer(cluster: ManagedCluster, spec: DatabaseSpec): Promise<void> {
  try {
    await startCluster(cluster, {
      settings: serverSettings(spec, cluster.wal),
      access: accessRules(spec),
      create: (draft) => createData(cluster, draft, spec),
    })
  } catch (error) {
    throw startFailure(cluster, error)
  }
}

async function createData(cluster: ManagedCluster, draft: string, { superuserPassword }: DatabaseSpec): Promise<void> {
  const file = join(cluster.folder, 'password')
  await writeFile(file, superuserPassword, { mode: 0o600 })
  try {
    await cluster.account.adopt(file)
    await initialData(cluster, draft, [`--username=${superuser}`, '--auth=scram-sha-256', `--pwfile=${file}`, '--wal-segsize=4'])
  } finally {
    await rm(file, { force: true })
  }
}

/** The reason that PostgreSQL gave, without paths of this machine. */
export function startFailure({ folder }: ManagedCluster, error: unknown): PortError {
  if (error instanceof PortError) return error
  const text = error instanceof Error ? error.message : String(error)
  if (/ENOSPC|No space left on device|EDQUOT|Disk quota exceeded/.test(text))
    return new PortError('NO_CAPACITY', 'The disk is full, so the database could not be started.', { cause: error })
  const reasons = [...text.matchAll(/(?:FATAL|PANIC|ERROR): +([^|]+)/g)].map(([, reason = '']) => reason.replaceAll(folder, '').trim())
  const reason = reasons.at(-1)
  return new PortError('UNREACHABLE', reason ? `PostgreSQL did not start: ${reason}` : 'PostgreSQL did not start.', { cause: error })
}
