/**
 * A cluster: one data directory and the PostgreSQL server that runs on it. Shared by the control plane's own database and by managed
 * databases, which differ in their settings and in how their data directory is created.
 */
import { chmod, lstat, mkdir, readFile, rename, rm, rmdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Account, canEnter, chooseAccount } from './account.ts'
import { type EndTimes, endProcesses, findProcesses, readPidFile, socketOf, stateOf } from './process.ts'
import { copyPrograms, findPrograms, type Programs, run } from './program.ts'

/** The binaries, and the account that runs them. */
export type Installation = { programs: Programs; account: Account }

export type Cluster = Installation & {
  /** Data directory. Must be a real path, because processes are found by it. */
  data: string
  /** Where the data directory is created before it is moved into place, in the same file system. */
  draft: string
  log: string
  /** Directory of the unix socket, which only the owner can enter. */
  socketDir: string
  /** TCP port, if the settings enable TCP, and the number in the socket's name. */
  port: number
}

export type StartOptions = {
  /** Server settings. The configuration file is written anew at each start. */
  settings: Record<string, string>
  /** Content of `pg_hba.conf`. When omitted, the file stays as it is. */
  access?: string
  /** Fills the empty draft folder with a new cluster. Called only if there is no data directory. */
  create(draft: string): Promise<void>
  /** Called when the server has been launched. */
  onLaunch?: (() => void) | undefined
  /** Stops waiting when it aborts. */
  signal?: AbortSignal | undefined
  endTimesMs?: EndTimes | undefined
}

/** Settings that every cluster has unless its own settings differ. */
const commonSettings: Record<string, string> = {
  timezone: 'UTC',
  log_timezone: 'UTC',
  jit: 'off',
  log_checkpoints: 'off',
  // By default, recovery begins with an fsync of each file, which takes seconds. syncfs is a single call.
  ...(process.platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {}),
}

/** Crash recovery reads up to `max_wal_size` of WAL, which takes minutes on a slow disk. */
const startTimeoutMs = 300_000
/** How long pg_ctl waits before the state of the server is checked again. */
const launchTimeoutS = 10
/** Grace period for a server without a pid file: it may be writing it at the moment. */
const unreachableMs = 2_000
/** Children of a killed postmaster may hold its shared memory a moment longer. */
const sharedMemoryMs = 60_000
/** How often the pid file is read while a server starts. pg_ctl looks every 100 ms. */
const readyPollMs = 10
const logMaxBytes = 10_000_000
const unusedPid = 2 ** 22 + 1

/** Finds the binaries and the account for clusters below `root`, in a folder of `dataDir`. `data` is the existing data, if there is any. */
export async function findInstallation(request: { root: string; dataDir: string; data: string; unshare: string }): Promise<Installation> {
  const found = await findPrograms()
  const account = await chooseAccount(request)
  const programs = (await canEnter(account, found.bin)) ? found : await copyPrograms(found, request.root)
  return { programs, account }
}

/**
 * Brings the server from any state to accepting connections, and creates the cluster if necessary. Returns whether it was already running.
 * The caller holds a lock on the cluster. On failure, throws an error with the reason and the end of the server's log.
 */
export async function startCluster(cluster: Cluster, options: StartOptions): Promise<boolean> {
  let joined = true
  let unreachableSince: number | null = null
  for (const deadline = performance.now() + startTimeoutMs; ; ) {
    options.signal?.throwIfAborted()
    const processes = await findProcesses(cluster.data)
    const state = await stateOf(cluster, processes)
    if (state === 'ready') return joined
    unreachableSince = state === 'unreachable' ? (unreachableSince ?? performance.now()) : null
    if (state === 'absent') {
      // Stopped by another process. The next start starts it again.
      if (!joined) throw new Error(`PostgreSQL exited during startup. ${await logTail(cluster)}`)
      joined = false
      await endProcesses(cluster.data, options.endTimesMs)
      await makeSocketDir(cluster)
      await initialize(cluster, options.create)
      await launch(cluster, options)
      continue
    }
    if (state === 'stopping' || (unreachableSince !== null && performance.now() - unreachableSince > unreachableMs)) {
      await endProcesses(cluster.data, options.endTimesMs)
    } else if (performance.now() > deadline) {
      throw new Error(`PostgreSQL (pid ${processes.postmaster}) is not ready after ${startTimeoutMs} ms. ${await logTail(cluster)}`)
    }
    await delay(50)
  }
}

/** Stops the server in any state, and a creation in progress. Does nothing if none is running. Throws if a process cannot be stopped. */
export async function stopCluster(cluster: Cluster, endTimesMs?: EndTimes): Promise<void> {
  for (const directory of [cluster.draft, cluster.data]) await endProcesses(directory, endTimesMs)
  await removeSocket(cluster)
  // It stays while the socket of another cluster is in it.
  await rmdir(cluster.socketDir).catch(() => {})
}

/** Whether the cluster was created completely. */
export const isCreated = async ({ data }: Pick<Cluster, 'data'>): Promise<boolean> =>
  (await lstat(join(data, 'PG_VERSION')).catch(() => null)) !== null

const builtinLocale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
/** By default, initdb ends with an fsync of each of a thousand files. */
const quickly = ['--no-instructions', ...(process.platform === 'linux' ? ['--sync-method=syncfs'] : [])]

/** Runs `initdb` with these options, in addition to the encoding and locale of every cluster. */
export const initialData = (installation: Installation, directory: string, options: string[], input = ''): Promise<void> =>
  mustRun(
    installation,
    join(installation.programs.bin, 'initdb'),
    ['-D', directory, '--encoding=UTF8', ...builtinLocale, ...quickly, ...options],
    input,
  )

/** Runs a program of PostgreSQL to its end. On failure, throws an error with the end of its output. */
export async function mustRun({ account }: Pick<Installation, 'account'>, file: string, args: string[], input = ''): Promise<void> {
  const { code, output } = await run(account, file, args, input)
  if (code !== 0)
    throw new Error(`PostgreSQL: ${file} ${args[0]} exited with code ${code}: ${output.trim().split('\n').slice(-5).join(' ')}`)
}

async function logTail({ log }: Pick<Cluster, 'log'>): Promise<string> {
  const lines = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n').slice(-5)
  return `The end of ${log}: ${lines.join(' | ')}`
}

async function makeSocketDir({ socketDir, account }: Cluster): Promise<void> {
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

/**
 * Creates the cluster in a draft folder, and moves it into place when it is complete. A crash in between leaves at most a draft, and
 * possibly an initdb that is still writing to it.
 */
async function initialize(cluster: Cluster, create: StartOptions['create']): Promise<void> {
  if (await isCreated(cluster)) return
  const { draft, account } = cluster
  await endProcesses(draft)
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  await account.adopt(draft)
  await create(draft)
  await rename(draft, cluster.data)
}

async function launch(cluster: Cluster, { settings, access, onLaunch }: StartOptions): Promise<void> {
  const { data, log, programs, account } = cluster
  await configure(cluster, settings, access)
  await writeFile(log, '', { flag: 'a', mode: 0o600 })
  if ((await lstat(log)).size > logMaxBytes) await truncate(log, 0)
  await account.adopt(log)

  await clearPreviousServer(cluster)
  const options = ['-w', '-t', String(launchTimeoutS), '-s', '-D', data, '-l', log]
  for (const deadline = performance.now() + sharedMemoryMs; ; await delay(200)) {
    const from = (await lstat(log)).size
    const ended = new AbortController()
    const launched = run(account, join(programs.bin, 'pg_ctl'), ['start', ...options]).finally(() => ended.abort())
    onLaunch?.()
    const answer = await Promise.race([launched, readyOf(data, ended.signal)])
    if (answer === 'ready') return
    const { code, output } = answer
    // Recovery may take longer than pg_ctl waits.
    if (code === 0 || (await findProcesses(data)).postmaster !== null) return
    const printed = (await readFile(log)).subarray(from).toString()
    if (!printed.includes('shared memory') || performance.now() > deadline) {
      throw new Error(`PostgreSQL did not start: ${output.trim()} ${await logTail(cluster)}`)
    }
  }
}

/** Resolves when a server that has just been launched says that it is ready. */
async function readyOf(data: string, signal: AbortSignal): Promise<'ready'> {
  while (!signal.aborted) {
    const lines = readPidFile(data)
    if (lines[0] !== String(unusedPid) && lines[7] === 'ready') return 'ready'
    await delay(readyPollMs)
  }
  return new Promise(() => {})
}

/**
 * PostgreSQL refuses to start with an incomplete pid file, or with the pid file or socket lock of a server whose pid another process has
 * now. A complete pid file must stay, because it names the shared memory by which orphaned children are detected: it gets a pid beyond
 * the kernel's range.
 */
async function clearPreviousServer(cluster: Cluster): Promise<void> {
  const [pid, ...rest] = readPidFile(cluster.data)
  const file = join(cluster.data, 'postmaster.pid')
  if (!(Number(pid) > 0)) await rm(file, { force: true })
  else await writeFile(file, [String(unusedPid), ...rest].join('\n'))
  await removeSocket(cluster)
}

async function removeSocket(cluster: Cluster): Promise<void> {
  for (const path of [socketOf(cluster), `${socketOf(cluster)}.lock`]) await rm(path, { force: true })
}

/** Writes the configuration files. A running server applies them when it is reloaded or restarted. */
export async function configure({ data, socketDir, port }: Cluster, settings: Record<string, string>, access?: string): Promise<void> {
  const all: Record<string, string> = {
    port: String(port),
    unix_socket_directories: socketDir,
    unix_socket_permissions: '0700',
    ...commonSettings,
    ...settings,
  }
  const text = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  await writeFile(join(data, 'postgresql.conf'), text.join(''), { mode: 0o600 })
  if (access !== undefined) await writeFile(join(data, 'pg_hba.conf'), access, { mode: 0o600 })
}
