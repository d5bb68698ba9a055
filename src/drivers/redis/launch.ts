/** Starts and ends the processes of a server. No process of the control plane owns them. */
import { execFile, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { isAlive, markOf, type ProcessMark, readProcess } from '../../platform/process-mark.ts'
import type { ProcessLimits } from './config.ts'

export type LaunchRequest = {
  file: string
  directory: string
  /** Passed on standard input, so that it is neither in a file nor among the arguments. */
  config: string
  limits: ProcessLimits
  /** Descriptor of the file for everything that the server prints. */
  log: number
  /** Records the process before it becomes the server. If it returns false, there will be no server. */
  record: (process: ProcessMark) => Promise<boolean>
}

/** The shell waits for a line of input, which it gets when the run is recorded. Without it, the shell exits. */
const script = 'read -r word || exit 125; ulimit -c 0; ulimit -n "$1"; ulimit -S -d "$2"; exec "$3" -'

export async function launch({ file, directory, config, limits, log, record }: LaunchRequest): Promise<void> {
  const args = [String(limits.descriptors), String(Math.ceil(limits.dataBytes / 1024)), file]
  const child = spawn('/bin/sh', ['-c', script, 'sh', ...args], {
    cwd: directory,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    detached: true,
    stdio: ['pipe', log, log],
  })
  const input = child.stdin as Writable
  child.on('error', () => undefined)
  input.on('error', () => undefined)
  child.unref()
  const mark = child.pid === undefined ? null : markOf(child.pid)
  let isRecorded = false
  try {
    if (mark === null) throw new Error('/bin/sh could not be run')
    isRecorded = await record(mark)
  } finally {
    if (isRecorded) input.end(`go\n${config}`)
    else input.destroy()
  }
}

const pollMs = 20
const killMs = 10_000

/** Ends a server: it saves its data when it gets SIGTERM, and is killed after `graceMs`. Throws if it survives that. */
export async function endServer(server: ProcessMark, graceMs: number): Promise<void> {
  if (isAlive(server)) signal(server.pid, graceMs > 0 ? 'SIGTERM' : 'SIGKILL')
  if (!(await hasEnded(server, graceMs))) signal(server.pid, 'SIGKILL')
  if (!(await hasEnded(server, killMs))) throw new Error(`the Redis server with pid ${server.pid} could not be stopped`)
  await killChildren(server)
}

async function hasEnded(server: ProcessMark, withinMs: number): Promise<boolean> {
  for (const deadline = performance.now() + withinMs; isAlive(server); await pause(pollMs)) if (performance.now() > deadline) return false
  return true
}

/** Kills the children of a server that has ended, which compact its data. They are in its session, whose number is not reused before they end. */
export async function killChildren(server: ProcessMark): Promise<void> {
  if (readProcess(server.pid) !== null) return
  for (const name of await readdir('/proc')) {
    const row = /^\d+$/.test(name) ? readProcess(Number(name)) : null
    if (row?.session === server.pid) signal(row.pid, 'SIGKILL')
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Raises the limit of a running server's memory to at least this. */
export async function raiseDataLimit(server: ProcessMark, { dataBytes }: ProcessLimits): Promise<void> {
  const limits = await readFile(`/proc/${server.pid}/limits`, 'utf8')
  const present = Number(/^Max data size +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY)
  if (present < dataBytes) await promisify(execFile)('prlimit', [`--pid=${server.pid}`, `--data=${dataBytes}:`], { timeout: 5_000 })
}
