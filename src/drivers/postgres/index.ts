/**
 * The embedded PostgreSQL under DATA_DIR: creates it, starts it or joins a running one, supervises it and stops it. It listens only on a
 * unix socket and outlives this process: only `stop` ends a server that responds. SQL, schema and connection pools belong to platform/db.
 */
import { chmod, lstat, mkdir, readdir, readFile, realpath, rename, rm, rmdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { withFileLock } from './lock.ts'
import { findPlace, logTail, mustRun, type Place, socketOf } from './place.ts'
import { type EndTimes, endProcesses, findProcesses, isServing, readPidFile, stateOf } from './process.ts'
import { run } from './program.ts'
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
  /** Stops the server for all processes that use it. */
  stop(): Promise<void>
}

/** Crash recovery reads up to `max_wal_size` of WAL, which takes minutes on a slow disk. */
const startTimeoutMs = 300_000
/** How long pg_ctl waits before the state of the server is checked again. */
const launchTimeoutS = 10
/** Grace period for a server without a pid file: it may be writing it at the moment. */
const unreachableMs = 2_000
/** Children of a killed postmaster may hold its shared memory a moment longer. */
const sharedMemoryMs = 60_000
/** How long a stop waits for a start in progress. */
const stopWaitMs = 5_000
const logMaxBytes = 10_000_000
const unusedPid = 2 ** 22 + 1

/**
 * Starts the embedded PostgreSQL of `dataDir`, or joins the running one. Any number of processes may call it concurrently. When it resolves,
 * the server accepts connections. On failure, throws an error with the reason and the end of the server's log.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  await mkdir(join(options.dataDir, 'postgres'), { recursive: true, mode: 0o711 })
  return locked(options.dataDir, async (root) => {
    const place = await findPlace(root, options.unshare ?? 'unshare')
    return {
      url: `postgresql://quayside@localhost/quayside?host=${encodeURIComponent(place.socketDir)}`,
      joined: await bringUp(place, options),
      supervise: (onChange) =>
        supervise({
          onChange,
          isServing: () => isServing(place),
          bringUp: (signal) => locked(options.dataDir, () => bringUp(place, options, signal)),
        }),
      stop: () => stopEmbeddedPostgres(options),
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
  const stop = async (root: string) => {
    const place = await findPlace(root, options.unshare ?? 'unshare')
    for (const directory of [draftOf(place), place.data]) await endProcesses(directory, options.endTimesMs)
    await removeSocket(place)
    await rmdir(place.socketDir).catch(() => {})
  }
  await locked(options.dataDir, stop, stopWaitMs)
}

async function locked<T>(dataDir: string, work: (root: string) => Promise<T>, atMostMs?: number): Promise<T> {
  const root = await realpath(join(dataDir, 'postgres'))
  return withFileLock(join(root, 'lock'), () => work(root), atMostMs)
}

/** Brings the server from any state to accepting connections. Returns whether it was already running. */
async function bringUp(place: Place, options: EmbeddedPostgresOptions, signal?: AbortSignal): Promise<boolean> {
  const { settings = {}, onProgress, endTimesMs } = options
  let joined = true
  let unreachableSince: number | null = null
  for (const deadline = performance.now() + startTimeoutMs; ; await delay(50)) {
    signal?.throwIfAborted()
    const processes = await findProcesses(place.data)
    const state = await stateOf(place, processes)
    if (state === 'ready') return joined
    unreachableSince = state === 'unreachable' ? (unreachableSince ?? performance.now()) : null
    if (state === 'absent') {
      // Stopped by another process. The next start starts it again.
      if (!joined) throw new Error(`PostgreSQL exited during startup. ${await logTail(place)}`)
      joined = false
      await endProcesses(place.data, endTimesMs)
      await makeSocketDir(place)
      await initialize(place, onProgress)
      await launch(place, settings)
    } else if (state === 'stopping' || (unreachableSince !== null && performance.now() - unreachableSince > unreachableMs)) {
      await endProcesses(place.data, endTimesMs)
    } else if (performance.now() > deadline) {
      throw new Error(`PostgreSQL (pid ${processes.postmaster}) is not ready after ${startTimeoutMs} ms. ${await logTail(place)}`)
    }
  }
}

async function makeSocketDir({ socketDir, account }: Place): Promise<void> {
  await mkdir(socketDir, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  // Any user can create this folder in /tmp and offer another server in it. Only the owner can change its mode.
  const found = await lstat(socketDir)
  if (!found.isDirectory()) throw new Error(`${socketDir} is required for the socket of PostgreSQL, but is not a directory.`)
  await account.adopt(socketDir)
  await chmod(socketDir, 0o700).catch((cause) => {
    throw new Error(`${socketDir} is required for the socket of PostgreSQL, but belongs to another user.`, { cause })
  })
}

/** Where a cluster is created. */
const draftOf = ({ root }: Place) => join(root, 'new')

/**
 * Creates the cluster in a draft folder, and moves it into place when it is complete. A crash in between leaves at most a draft, and
 * possibly an initdb that is still writing to it.
 */
async function initialize(place: Place, onProgress: (text: string) => void = () => {}): Promise<void> {
  const { root, data, programs, account } = place
  if ((await lstat(join(data, 'PG_VERSION')).catch(() => null)) !== null) return
  const others = (await readdir(root)).filter((name) => /^\d+$/.test(name) && name !== programs.major)
  if (others.length > 0) {
    throw new Error(
      `${root} contains the data of PostgreSQL ${others.join(' and ')}, but this version of Quayside includes PostgreSQL ${programs.major}. Upgrade the data with pg_upgrade, or start the version of Quayside that created it.`,
    )
  }
  onProgress('Creating the database.')
  const draft = draftOf(place)
  await endProcesses(draft)
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  await account.adopt(draft)
  const options = [
    '--username=quayside',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ]
  await mustRun(place, join(programs.bin, 'initdb'), ['-D', draft, ...options])
  await mustRun(place, join(programs.bin, 'postgres'), ['--single', '-D', draft, 'postgres'], 'CREATE DATABASE quayside\n')
  await rename(draft, data)
}

/**
 * Starts the server with a configuration file that is written anew at each start. No TCP: instances share the host's network and must not
 * be able to connect. 64 MB of shared buffers are enough for the few hot rows of a control plane; the system caches the rest.
 */
async function launch(place: Place, extra: Record<string, string>): Promise<void> {
  const { data, log, socketDir, programs, account } = place
  const settings: Record<string, string> = {
    listen_addresses: '',
    unix_socket_directories: socketDir,
    unix_socket_permissions: '0700',
    max_connections: '200',
    shared_buffers: '64MB',
    fsync: 'on',
    max_wal_size: '512MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    jit: 'off',
    log_checkpoints: 'off',
    // By default, recovery begins with an fsync of each file, which takes seconds. syncfs is a single call.
    ...(process.platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {}),
    ...extra,
  }
  const text = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  await writeFile(join(data, 'postgresql.conf'), text.join(''), { mode: 0o600 })
  await writeFile(log, '', { flag: 'a', mode: 0o600 })
  if ((await lstat(log)).size > logMaxBytes) await truncate(log, 0)
  await account.adopt(log)

  await clearPreviousServer(place)
  const options = ['-w', '-t', String(launchTimeoutS), '-s', '-D', data, '-l', log]
  for (const deadline = performance.now() + sharedMemoryMs; ; await delay(200)) {
    const from = (await lstat(log)).size
    const { code, output } = await run(account, join(programs.bin, 'pg_ctl'), ['start', ...options])
    // Recovery may take longer than pg_ctl waits.
    if (code === 0 || (await findProcesses(data)).postmaster !== null) return
    const printed = (await readFile(log)).subarray(from).toString()
    if (!printed.includes('shared memory') || performance.now() > deadline) {
      throw new Error(`PostgreSQL did not start: ${output.trim()} ${await logTail(place)}`)
    }
  }
}

/**
 * PostgreSQL refuses to start with an incomplete pid file, or with the pid file or socket lock of a server whose pid another process has
 * now. A complete pid file must stay, because it names the shared memory by which orphaned children are detected: it gets a pid beyond
 * the kernel's range.
 */
async function clearPreviousServer(place: Place): Promise<void> {
  const [pid, ...rest] = await readPidFile(place.data)
  const file = join(place.data, 'postmaster.pid')
  if (!(Number(pid) > 0)) await rm(file, { force: true })
  else await writeFile(file, [String(unusedPid), ...rest].join('\n'))
  await removeSocket(place)
}

async function removeSocket(place: Place): Promise<void> {
  for (const path of [socketOf(place), `${socketOf(place)}.lock`]) await rm(path, { force: true })
}
