/**
 * The embedded PostgreSQL under DATA_DIR: creates it, starts it or joins a running one, supervises it and stops it. It listens only on a
 * unix socket and outlives this process: only `stop` ends a server that responds. SQL, schema and connection pools belong to platform/db.
 */
import { lstat, mkdir, readdir, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Cluster, initialData, mustRun, startCluster, stopCluster } from './cluster.ts'
import { withFileLock } from './lock.ts'
import { findPlace } from './place.ts'
import { type EndTimes, isServing } from './process.ts'
import { type Supervisor, type SupervisorChange, supervise } from './supervise.ts'

export type { Supervisor, SupervisorChange } from './supervise.ts'

export type EmbeddedPostgresOptions = {
  /** Created if missing. The cluster is in `postgres/<major version>` below it. */
  dataDir: string
  /** Additional server settings, such as `{ fsync: 'off' }` for a test database. Used only when the server is started. */
  settings?: Record<string, string>
  /** Command that creates user namespaces, needed only by root. Defaults to `unshare` in the PATH. */
  unshare?: string
  /** Called with a sentence for steps that take longer, such as creating the cluster. */
  onProgress?: ((text: string) => void) | undefined
  /** Called when the server has been launched, and only its answer is waited for. Not called if it was already running. */
  onLaunch?: () => void
  /** Time limits of a stop: before it proceeds from fast to immediate shutdown, and from immediate to SIGKILL. */
  endTimesMs?: EndTimes
}

export type EmbeddedPostgres = {
  /** Connection string of the database `quayside`, over the unix socket, as superuser. */
  url: string
  /** Whether it was already running, started by another process. */
  joined: boolean
  /**
   * Restarts the server whenever it has exited or cannot be reached, until the supervisor is closed. Every process of an installation may
   * supervise it: with the lock in DATA_DIR, one of them restarts it and the others find it running.
   */
  supervise(onChange: (change: SupervisorChange) => void): Supervisor
  /** Stops the server for all processes that use it, and ends the supervision by this one. */
  stop(): Promise<void>
}

/** How long a stop waits for a start in progress. */
const stopWaitMs = 5_000

/**
 * Starts the embedded PostgreSQL of `dataDir`, or joins the running one. Any number of processes may call it concurrently. When it resolves,
 * the server accepts connections. On failure, throws an error with the reason and the end of the server's log.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  await mkdir(join(options.dataDir, 'postgres'), { recursive: true, mode: 0o711 })
  return locked(options.dataDir, async (root) => {
    const place = await findPlace(root, options.unshare ?? 'unshare')
    const supervisors: Supervisor[] = []
    return {
      url: `postgresql://quayside@localhost/quayside?host=${encodeURIComponent(place.socketDir)}`,
      joined: await bringUp(place, options),
      supervise(onChange) {
        const supervisor = supervise({
          onChange,
          isServing: () => isServing(place),
          bringUp: (signal) => locked(options.dataDir, () => bringUp(place, options, signal)),
        })
        supervisors.push(supervisor)
        return supervisor
      },
      stop() {
        for (const supervisor of supervisors) supervisor.close()
        return stopEmbeddedPostgres(options)
      },
    }
  })
}

/**
 * Stops the embedded PostgreSQL of `dataDir`, in any state, and closes its connections. Does nothing if none is running. Takes at most
 * half a minute. Throws if a process cannot be stopped.
 */
export async function stopEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<void> {
  if ((await lstat(join(options.dataDir, 'postgres')).catch(() => null)) === null) return
  // A process that holds the lock for longer hangs, or waits for a server that does not become ready. The server is stopped regardless.
  const stop = async (root: string) => stopCluster(await findPlace(root, options.unshare ?? 'unshare'), options.endTimesMs)
  await locked(options.dataDir, stop, stopWaitMs)
}

async function locked<T>(dataDir: string, work: (root: string) => Promise<T>, atMostMs?: number): Promise<T> {
  const root = await realpath(join(dataDir, 'postgres'))
  return withFileLock(join(root, 'lock'), () => work(root), atMostMs)
}

function bringUp(cluster: Cluster, options: EmbeddedPostgresOptions, signal?: AbortSignal): Promise<boolean> {
  return startCluster(cluster, {
    settings: { ...settings, ...options.settings },
    create: (draft) => create(cluster, draft, options.onProgress),
    onLaunch: options.onLaunch,
    signal,
    endTimesMs: options.endTimesMs,
  })
}

/**
 * No TCP: instances share the host's network and must not be able to connect. 64 MB of shared buffers are enough for the few hot rows of a
 * control plane; the system caches the rest.
 */
const settings: Record<string, string> = {
  listen_addresses: '',
  max_connections: '200',
  shared_buffers: '64MB',
  fsync: 'on',
  max_wal_size: '512MB',
}

async function create(cluster: Cluster, draft: string, onProgress: (text: string) => void = () => {}): Promise<void> {
  const { programs } = cluster
  const root = dirname(cluster.data)
  const others = (await readdir(root)).filter((name) => /^\d+$/.test(name) && name !== programs.major)
  if (others.length > 0) {
    throw new Error(
      `${root} contains the data of PostgreSQL ${others.join(' and ')}, but this version of Quayside includes PostgreSQL ${programs.major}. Upgrade the data with pg_upgrade, or start the version of Quayside that created it.`,
    )
  }
  onProgress('Creating the database.')
  await initialData(cluster, draft, ['--username=quayside', '--auth=trust'])
  await mustRun(cluster, join(programs.bin, 'postgres'), ['--single', '-D', draft, 'postgres'], 'CREATE DATABASE quayside\n')
}
