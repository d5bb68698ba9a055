/**
 * The embedded PostgreSQL: makes it under DATA_DIR, starts it, joins one that runs, stops it. It listens on a unix socket only and
 * outlives this process: nothing here ends it but `stop`. No SQL, no schema, no connection pools: those belong to platform/db.
 */
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, readdir, readFile, readlink, realpath, rename, rm, rmdir, truncate, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Account, canEnter, chooseAccount, ourselves } from './account.ts'
import { withFileLock } from './lock.ts'
import { copyPrograms, findPrograms, type Programs, run } from './program.ts'

export type EmbeddedPostgresOptions = {
  /** Made when it is missing. The cluster lies in `postgres/<major version>` below it. */
  dataDir: string
  /** Server settings on top of ours, e.g. `{ fsync: 'off' }` for a database that a test throws away. Used at a fresh start only. */
  settings?: Record<string, string>
  /** The command that makes user namespaces, needed by root only. Default: `unshare` of the PATH. */
  unshare?: string
}

export type EmbeddedPostgres = {
  /** Connection string of the database `quayside`, over the unix socket, as superuser. */
  url: string
  /** True when it ran already, started by another process or an earlier one. */
  joined: boolean
  /** Ends the server for everybody who uses it. */
  stop(): Promise<void>
}

type Place = { dataDir: string; root: string; data: string; log: string; socketDir: string; programs: Programs; account: Account }

const startTimeoutMs = 60_000
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
    let pid = await findPostmaster(place)
    if (pid !== null && (await becomesReady(place, pid)) === 'unreachable') {
      await end(place)
      pid = null
    }
    if (pid === null) {
      await makeSocketDir(place)
      await initialize(place)
      await launch(place, options.settings ?? {})
    }
    const url = `postgresql://quayside@localhost/quayside?host=${encodeURIComponent(place.socketDir)}`
    return { url, joined: pid !== null, stop: () => stopEmbeddedPostgres(options) }
  })
}

/** Stops the embedded PostgreSQL of `dataDir`, closing its connections. Does nothing when none runs. */
export async function stopEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<void> {
  if ((await lstat(join(options.dataDir, 'postgres')).catch(() => null)) === null) return
  await locked(options.dataDir, async (root) => {
    const place = await findPlace(root, options.unshare ?? 'unshare')
    if ((await findPostmaster(place)) !== null) await end(place)
    await rmdir(place.socketDir).catch(() => {})
  })
}

async function locked<T>(dataDir: string, work: (root: string) => Promise<T>): Promise<T> {
  const root = await realpath(join(dataDir, 'postgres'))
  return withFileLock(join(root, 'lock'), () => work(root))
}

async function findPlace(root: string, unshare: string): Promise<Place> {
  const dataDir = dirname(root)
  const found = await findPrograms()
  const data = join(root, found.major)
  const account = await chooseAccount({ dataDir, data, unshare })
  const programs = (await canEnter(account, found.bin)) ? found : await copyPrograms(found, root)
  // A socket's path has 107 bytes at most, so it can't lie in DATA_DIR.
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 16)
  const socketDir = join('/tmp', `quayside-${name}`)
  return { dataDir, root, data, log: join(root, 'server.log'), socketDir, programs, account }
}

/** The pid of the postmaster of this data directory; null when none runs. A pid file that a crash left behind doesn't count. */
async function findPostmaster({ data, socketDir }: Place): Promise<number | null> {
  const pid = Number((await pidFile(data))[0])
  if (!Number.isInteger(pid) || pid <= 0) return null
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return null
  }
  if (await isPostmaster(pid, data)) return pid
  // Another process has this pid (after a reboot), or nobody reaps the dead one: PostgreSQL would refuse to start because of it. The
  // file must stay, for it names the shared memory by which PostgreSQL sees orphaned children; it gets a pid beyond the kernel's range.
  const [, ...rest] = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')
  await writeFile(join(data, 'postmaster.pid'), [String(unusedPid), ...rest].join('\n'))
  await rm(join(socketDir, '.s.PGSQL.5432.lock'), { force: true })
  return null
}

async function pidFile(data: string): Promise<string[]> {
  return (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n').map((line) => line.trim())
}

async function isPostmaster(pid: number, data: string): Promise<boolean> {
  if (process.platform === 'linux') return (await readlink(`/proc/${pid}/cwd`).catch(() => null)) === data
  return (await run(ourselves, 'ps', ['-o', 'comm=', '-p', String(pid)])).output.trim().endsWith('postgres')
}

/** Waits for a running server that still starts. `unreachable`: it runs, but its socket is gone (a cleaned /tmp, a moved DATA_DIR). */
async function becomesReady(place: Place, pid: number): Promise<'ready' | 'unreachable'> {
  const deadline = Date.now() + startTimeoutMs
  while (Date.now() < deadline) {
    const lines = await pidFile(place.data)
    if (lines[0] !== String(pid)) return 'unreachable'
    if (lines[7] === 'ready') return (await accepts(join(place.socketDir, '.s.PGSQL.5432'))) ? 'ready' : 'unreachable'
    await delay(50)
  }
  throw new Error(`PostgreSQL (pid ${pid}) is not ready after ${startTimeoutMs} ms. ${await logTail(place)}`)
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function makeSocketDir({ socketDir, account }: Place): Promise<void> {
  await mkdir(socketDir, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  // /tmp is everybody's: whoever made this folder first could offer a server of their own in it. Only its owner can change its mode.
  const found = await lstat(socketDir)
  if (!found.isDirectory()) throw new Error(`${socketDir} is needed for PostgreSQL's socket, but it is no folder.`)
  await account.adopt(socketDir)
  await chmod(socketDir, 0o700).catch((cause) => {
    throw new Error(`${socketDir} is needed for PostgreSQL's socket, but it belongs to another user.`, { cause })
  })
}

/** Makes the cluster beside its place and moves it there when it is whole: a crash in between leaves nothing that counts. */
async function initialize(place: Place): Promise<void> {
  const { root, data, programs, account } = place
  if ((await lstat(join(data, 'PG_VERSION')).catch(() => null)) !== null) return
  const others = (await readdir(root)).filter((name) => /^\d+$/.test(name) && name !== programs.major)
  if (others.length > 0) {
    throw new Error(
      `${root} holds the data of PostgreSQL ${others.join(' and ')}, and this program brings ${programs.major}. Move the data with pg_upgrade or start the program that made it.`,
    )
  }
  const fresh = join(root, 'new')
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
    ...extra,
  }
  const text = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  await writeFile(join(data, 'postgresql.conf'), text.join(''), { mode: 0o600 })
  await writeFile(log, '', { flag: 'a', mode: 0o600 })
  if ((await lstat(log)).size > logMaxBytes) await truncate(log, 0)
  await account.adopt(log)

  // After kill -9 of the postmaster its children hold the shared memory for a moment more.
  const deadline = Date.now() + startTimeoutMs
  for (;;) {
    const from = (await lstat(log)).size
    const { code, output } = await run(account, join(programs.bin, 'pg_ctl'), [
      'start',
      '-w',
      '-t',
      String(startTimeoutMs / 1000),
      '-s',
      '-D',
      data,
      '-l',
      log,
    ])
    if (code === 0) return
    const printed = (await readFile(log, 'utf8')).slice(from)
    if (!printed.includes('shared memory') || Date.now() > deadline) {
      throw new Error(`PostgreSQL did not start: ${output.trim()} ${await logTail(place)}`)
    }
    await delay(200)
  }
}

async function end(place: Place): Promise<void> {
  await must(place, join(place.programs.bin, 'pg_ctl'), [
    'stop',
    '-w',
    '-s',
    '-m',
    'fast',
    '-t',
    String(startTimeoutMs / 1000),
    '-D',
    place.data,
  ])
}

async function must({ account }: Place, file: string, args: string[], input = ''): Promise<void> {
  const { code, output } = await run(account, file, args, input)
  if (code !== 0) throw new Error(`PostgreSQL: ${file} ${args[0]} ended with ${code}: ${output.trim().split('\n').slice(-5).join(' ')}`)
}

async function logTail({ log }: Place): Promise<string> {
  const lines = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n').slice(-5)
  return `The end of ${log}: ${lines.join(' | ')}`
}
