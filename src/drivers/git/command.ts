/**
 * Runs one git process to its end: own process group, no shell text, output read with back-pressure, killed as a whole on
 * abort. It knows nothing of repositories; what a command means stands with its caller.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import type { OutputSink } from '../../domain/deploys/log/ports.ts'

export type GitCommand = {
  args: string[]
  /** The whole environment of the process; nothing is inherited. */
  env: Record<string, string>
  cwd: string
  signal: AbortSignal
  stdin?: string
  /** Where the process's stderr goes, line by line, redacted; null keeps it out of the log. */
  output: OutputSink | null
  redact(text: string): string
  /** Takes stdout as it comes; without it stdout is collected. Throwing ends the process. */
  onStdout?: (chunk: Buffer) => void
  /** No file that the process writes may grow over this. */
  fileBytes: number
}

export type GitResult = {
  exitCode: number | null
  /** At most 8 MiB; empty where `onStdout` took it. */
  stdout: Buffer
  /** The last 16 KiB, redacted. */
  stderr: string
}

const STDOUT_LIMIT = 8 * 1024 * 1024
const STDERR_KEPT = 16 * 1024
const LINE_LIMIT = 16 * 1024
/**
 * A limit of the kernel holds against a remote that sends without end, where looking at a folder's size comes late. Its unit is
 * 512 bytes. With signal 25 (XFSZ) ignored git says "File too large" rather than dying without a word.
 */
const LAUNCH = 'ulimit -f "$1" 2>/dev/null; trap "" 25; shift; exec git "$@"'

/** Throws `signal.reason` on abort, and what `output` or `onStdout` threw; no process is left in either case. A failure of git is a result. */
export async function runGit(command: GitCommand): Promise<GitResult> {
  command.signal.throwIfAborted()
  const blocks = String(Math.ceil(command.fileBytes / 512))
  const child = spawn('/bin/sh', ['-c', LAUNCH, 'sh', blocks, ...command.args], {
    cwd: command.cwd,
    env: command.env,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const closed = once(child, 'close') as Promise<[number | null]>
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(command.signal.reason)
  command.signal.addEventListener('abort', abort)
  try {
    // A process that ends before it read all of its input is judged by its exit code.
    child.stdin.on('error', () => {})
    child.stdin.end(command.stdin ?? '')
    const ended = Promise.all([collect(child.stdout, command), forward(child.stderr, command), closed])
    const [stdout, stderr, [exitCode]] = await Promise.race([ended, aborted])
    return { exitCode, stdout, stderr }
  } catch (error) {
    killGroup(child.pid)
    child.stdout.destroy()
    child.stderr.destroy()
    await closed.catch(() => {})
    throw error
  } finally {
    command.signal.removeEventListener('abort', abort)
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Already gone.
  }
}

async function collect(stdout: Readable, command: GitCommand): Promise<Buffer> {
  const kept: Buffer[] = []
  let size = 0
  for await (const chunk of stdout as AsyncIterable<Buffer>) {
    if (command.onStdout !== undefined) {
      command.onStdout(chunk)
      continue
    }
    size += chunk.length
    if (size <= STDOUT_LIMIT) kept.push(chunk)
  }
  return Buffer.concat(kept)
}

/** Whole lines only, so that a secret is never cut in two before it is looked for. */
async function forward(stderr: Readable, command: GitCommand): Promise<string> {
  let kept = ''
  let pending = ''
  const emit = async (line: string) => {
    const text = `${command.redact(line)}\n`
    kept = (kept + text).slice(-STDERR_KEPT)
    await command.output?.('stderr', Buffer.from(text))
  }
  stderr.setEncoding('utf8')
  for await (const chunk of stderr as AsyncIterable<string>) {
    const lines = (pending + chunk).split(/[\r\n]+/)
    pending = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') await emit(line.slice(0, LINE_LIMIT))
    if (pending.length > 4 * LINE_LIMIT) {
      await emit(pending.slice(0, LINE_LIMIT))
      pending = ''
    }
  }
  if (pending.trim() !== '') await emit(pending.slice(0, LINE_LIMIT))
  return kept
}
