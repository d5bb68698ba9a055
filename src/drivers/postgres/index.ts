/**
 * The embedded PostgreSQL: makes it under DATA_DIR, starts it, joins one that runs, watches over it, stops it. It listens on a unix
 * socket only and outlives this process: nothing here ends a server that answers but `stop`. No SQL, no schema, no connection pools:
 * those belong to platform/db.
 */
import { chmod, lstat, mkdir, readdir, readFile, realpath, rename, rm, rmdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { withFileLock } from './lock.ts'
import { findPlace, logTail, must, type Place, socketOf } from './place.ts'
import { type EndTimes, endProcesses, findProcesses, isServing, readPidFile, stateOf } from './process.ts'
import { run } from './program.ts'
import { type Supervisor, type SupervisorChange, supervise } from './supervise.ts'

export type { Supervisor, SupervisorChange } from './supervise.ts'

export type EmbeddedPostgresOptions = {
  /** Made when it is missing. The cluster lies in `postgres/<major version>` below it. */
  dataDir: string
  /** Server settings on top of ours, e.g. `{ fsync: 'off' }` for a database that a test throws away. Used at a fresh start only. */
  settings?: Record<string, string>
  /** The command that makes user namespaces, needed by root only. Default: `unshare` of the PATH. */
  unshare?: string
  /** Told, as a sentence, what takes more than a moment: the cluster is made, or recovers. */
  onProgress?: ((text: string) => void) | undefined
  /** How long a stop waits until it becomes harsher: from fast to immediate, from immediate to SIGKILL. */
  endTimesMs?: EndTimes
}

export type EmbeddedPostgres = {
  /** Connection string of the database `quayside`, over the unix socket, as superuser. */
  url: string
  /** True when it ran already, started by another process or an earlier one. */
  joined: boolean
  /**
   * Starts the server again whenever it has died or can't be reached, until the watch is closed. Every process of an installation may
   * watch: the lock in DATA_DIR lets one of them start it, and the others find it running.
   */
  supervise(onChange: (change: SupervisorChange) => void): Supervisor
  /** Ends the server for everybody who uses it. */
  stop(): Promise<void>
}

/** Recovery after a crash reads up to `max_wal_size` of log, which a slow disk takes minutes for. */
const startTimeoutMs = 300_000
/** How long a starter of PostgreSQL waits before it is asked again how far the server is. */
const launchTimeoutS = 10
/** A server without a pid file of its own may be writing it just now. */
const unreachableMs = 2_000
/** Children of a killed postmaster that can't be seen from here hold its shared memory for a moment more. */
const sharedMemoryMs = 60_000
/** How long a stop waits for a start that is under way. */
const stopWaitMs = 5_000
const logMaxBytes = 10_000_000
const unusedPid = 2 ** 22 + 1

/**
 * Starts the embedded PostgreSQL of `dataDir`, or joins the one that runs there. Any number of processes may call it at once; it is
 * ready for connections when this resolves. Throws an error that says why (and holds the end of the server's log) when it can't be.
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
 * Stops the embedded PostgreSQL of `dataDir`, closing its connections, in whatever state it is. Does nothing when none runs. Takes
 * half a minute at most; throws when a process can't be ended.
 */
export async function stopEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<void> {
  if ((await lstat(join(options.dataDir, 'postgres')).catch(() => null)) === null) return
  // Whoever holds the lock longer than this hangs, or waits for a server that doesn't get ready: it is ended all the same.
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

/** Leads from any state to a server that is ready for connections; says whether it ran already. */
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
      // Ended by a stop that didn't wait, or by whoever else wants it down: whoever is asked next starts it.
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
  // /tmp is everybody's: whoever made this folder first could offer a server of their own in it. Only its owner can change its mode.
  const found = await lstat(socketDir)
  if (!found.isDirectory()) throw new Error(`${socketDir} is required for the socket of PostgreSQL, but is not a directory.`)
  await account.adopt(socketDir)
  await chmod(socketDir, 0o700).catch((cause) => {
    throw new Error(`${socketDir} is required for the socket of PostgreSQL, but belongs to another user.`, { cause })
  })
}

/** Where a cluster is made. */
const draftOf = ({ root }: Place) => join(root, 'new')

/**
 * Makes the cluster beside its place and moves it there when it is whole: a crash in between leaves nothing that counts, though
 * perhaps an initdb that still writes.
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
  const fresh = draftOf(place)
  await endProcesses(fresh)
  await rm(fresh, { recursive: true, force: true })
  await mkdir(fresh, { mode: 0o700 })
  await account.adopt(fresh)
  const options = [
    '--username=quayside',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ]
  await must(place, join(programs.bin, 'initdb'), ['-D', fresh, ...options])
  await must(place, join(programs.bin, 'postgres'), ['--single', '-D', fresh, 'postgres'], 'CREATE DATABASE quayside\n')
  await rename(fresh, data)
}

/**
 * The whole configuration is ours and is written at each start. No TCP: instances share the host's network and must not reach it.
 * 64 MB of shared buffers serve a control plane whose hot rows are few; the system's cache does the rest.
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
    // Recovery begins with an fsync of each file of the cluster, which takes seconds; this is one call.
    ...(process.platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {}),
    ...extra,
  }
  const text = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  await writeFile(join(data, 'postgresql.conf'), text.join(''), { mode: 0o600 })
  await writeFile(log, '', { flag: 'a', mode: 0o600 })
  if ((await lstat(log)).size > logMaxBytes) await truncate(log, 0)
  await account.adopt(log)

  await forgetFormerServer(place)
  const options = ['-w', '-t', String(launchTimeoutS), '-s', '-D', data, '-l', log]
  for (const deadline = performance.now() + sharedMemoryMs; ; await delay(200)) {
    const from = (await lstat(log)).size
    const { code, output } = await run(account, join(programs.bin, 'pg_ctl'), ['start', ...options])
    // It may recover for longer than pg_ctl waits.
    if (code === 0 || (await findProcesses(data)).postmaster !== null) return
    const printed = (await readFile(log)).subarray(from).toString()
    if (!printed.includes('shared memory') || performance.now() > deadline) {
      throw new Error(`PostgreSQL did not start: ${output.trim()} ${await logTail(place)}`)
    }
  }
}

/**
 * PostgreSQL refuses to start beside the pid file or the socket's lock of a server whose pid is now another's, and beside a torn pid
 * file. A whole one must stay, because it names the shared memory by which orphaned children are seen: it gets a pid beyond the kernel's range.
 */
async function forgetFormerServer(place: Place): Promise<void> {
  const [pid, ...rest] = await readPidFile(place.data)
  const file = join(place.data, 'postmaster.pid')
  if (!(Number(pid) > 0)) await rm(file, { force: true })
  else await writeFile(file, [String(unusedPid), ...rest].join('\n'))
  await removeSocket(place)
}

async function removeSocket(place: Place): Promise<void> {
  for (const path of [socketOf(place), `${socketOf(place)}.lock`]) await rm(path, { force: true })
}
