/**
 * The processes of a data directory. They are found in /proc, because the pid file may be missing, incomplete, left behind by a crash, or
 * contain the pid of another program. Without /proc, the pid file is used.
 */
import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ourselves } from './account.ts'
import { run } from './program.ts'

export type Processes = {
  /** The process that accepts connections; null if none is running. */
  postmaster: number | null
  /** Programs that start a server or create a cluster. They must be killed first, because they could start another server. */
  starters: number[]
  /** All processes of the directory, including those two. */
  all: number[]
}

/**
 * `starting` includes crash recovery. `unreachable`: it is running, but does not or will soon not accept connections, because its socket or
 * pid file is gone (a cleaned /tmp, a moved DATA_DIR).
 */
export type ServerState = 'absent' | 'starting' | 'ready' | 'stopping' | 'unreachable'

/** What identifies the server of a cluster. */
export type ServerPlace = { data: string; socketDir: string; port: number }

export const socketOf = ({ socketDir, port }: ServerPlace) => join(socketDir, `.s.PGSQL.${port}`)

const programs = new Set(['postgres', 'pg_ctl', 'initdb'])

/** The PostgreSQL processes of `directory`, which may still be a draft. */
export async function findProcesses(directory: string): Promise<Processes> {
  if (process.platform !== 'linux') return findByPidFile(directory)
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = (await Promise.all(names.map((name) => readProcess(Number(name), directory)))).filter((one) => one !== null)
  const servers = new Set(found.filter(({ role }) => role === 'server').map(({ pid }) => pid))
  return {
    // A new child shows the arguments of its parent for a moment.
    postmaster: found.find(({ pid, parent }) => servers.has(pid) && !servers.has(parent))?.pid ?? null,
    starters: found.filter(({ role }) => role === 'starter').map(({ pid }) => pid),
    all: found.map(({ pid }) => pid),
  }
}

type Found = { pid: number; parent: number; role: 'server' | 'child' | 'starter' }

async function readProcess(pid: number, directory: string): Promise<Found | null> {
  const program = basename((await readlink(`/proc/${pid}/exe`).catch(() => '')).replace(/ \(deleted\)$/, ''))
  if (!programs.has(program)) return null
  const [folder, line, stat] = await Promise.all([
    readlink(`/proc/${pid}/cwd`).catch(() => null),
    readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
    readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''),
  ])
  const args = line.split('\0')
  // A server changes into its directory; pg_ctl and initdb have it only in their arguments.
  if (folder !== directory && !args.includes(directory)) return null
  const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  const role = program !== 'postgres' ? 'starter' : args[1] === '-D' ? 'server' : 'child'
  return { pid, parent, role }
}

async function findByPidFile(directory: string): Promise<Processes> {
  const pid = Number(readPidFile(directory)[0])
  const name = pid > 0 ? (await run(ourselves, 'ps', ['-o', 'comm=', '-p', String(pid)])).output.trim() : ''
  return name.endsWith('postgres') ? { postmaster: pid, starters: [], all: [pid] } : { postmaster: null, starters: [], all: [] }
}

export const readPidFile = (data: string): string[] =>
  (orNull(() => readFileSync(join(data, 'postmaster.pid'), 'utf8')) ?? '').split('\n').map((line) => line.trim())

/** A server that has just been started has no pid file yet and counts as unreachable. */
export async function stateOf(place: ServerPlace, { postmaster }: Processes): Promise<ServerState> {
  if (postmaster === null) return 'absent'
  const lines = readPidFile(place.data)
  if (lines[0] !== String(postmaster)) return 'unreachable'
  if (lines[7] === 'stopping') return 'stopping'
  if (lines[7] !== 'ready') return 'starting'
  return (await accepts(socketOf(place))) ? 'ready' : 'unreachable'
}

/**
 * The process of a server that is running and has its socket, else null. Called twice a second for each server: what it reads is in memory,
 * so it takes 10 µs, and through the thread pool ten times as long.
 */
export async function servingPid(place: ServerPlace): Promise<number | null> {
  const pid = Number(readPidFile(place.data)[0])
  if (!(pid > 0)) return null
  const runs =
    process.platform === 'linux'
      ? orNull(() => readlinkSync(`/proc/${pid}/cwd`)) === place.data
      : (await findByPidFile(place.data)).postmaster !== null
  return runs && orNull(() => lstatSync(socketOf(place))) !== null ? pid : null
}

function orNull<Value>(read: () => Value): Value | null {
  try {
    return read()
  } catch {
    return null
  }
}

export const isServing = async (place: ServerPlace): Promise<boolean> => (await servingPid(place)) !== null

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // EAGAIN: the queue of connections is full, so a server is listening.
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'))
  })
}

export type EndTimes = { fast: number; immediate: number }

/** In immediate mode, PostgreSQL itself kills remaining children after 5 s. */
const endTimes: EndTimes = { fast: 20_000, immediate: 7_000 }
const killMs = 5_000
const orphanMs = 1_000

/**
 * Stops all processes of a data directory: by fast shutdown (closes sessions, writes a checkpoint), then immediate shutdown (the next start
 * recovers), then SIGKILL. Children of a dead postmaster get a second to exit. Throws if a process survives.
 */
export async function endProcesses(directory: string, times: EndTimes = endTimes): Promise<void> {
  const { postmaster, all } = await findProcesses(directory)
  if (all.length === 0) return
  if (postmaster === null) {
    if (await areGone(directory, orphanMs)) return
  } else {
    signal([postmaster], 'SIGINT')
    if (await areGone(directory, times.fast)) return
  }
  for (const [name, withinMs] of [
    ['SIGQUIT', times.immediate],
    ['SIGKILL', killMs],
  ] as const) {
    signal((await findProcesses(directory)).all, name)
    if (await areGone(directory, withinMs)) return
  }
  const left = (await findProcesses(directory)).all
  if (left.length > 0) throw new Error(`PostgreSQL could not be stopped. These processes are still running: ${left.join(', ')}.`)
}

async function areGone(directory: string, withinMs: number): Promise<boolean> {
  for (const deadline = performance.now() + withinMs; ; await delay(50)) {
    const { starters, all } = await findProcesses(directory)
    if (all.length === 0) return true
    signal(starters, 'SIGKILL')
    if (performance.now() > deadline) return false
  }
}

function signal(pids: number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
