/**
 * Runs one git process to its end, in its own process group, which is killed on abort. Arguments are never interpreted by a shell, and
 * output is read with back-pressure. It knows nothing about repositories.
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
  /** Receives the process's stderr, line by line and redacted. Null to leave it out of the log. */
  output: OutputSink | null
  redact(text: string): string
  /** Receives stdout in chunks. When omitted, stdout is collected. If it throws, the process is killed. */
  onStdout?: (chunk: Buffer) => void
  /** Maximum size of a file that the process writes. */
  fileBytes: number
}

export type GitResult = {
  exitCode: number | null
  /** At most 8 MiB. Empty with `onStdout`. */
  stdout: Buffer
  /** The last 16 KiB, redacted. */
  stderr: string
}

const STDOUT_LIMIT = 8 * 1024 * 1024
const STDERR_KEPT = 16 * 1024
const LINE_LIMIT = 16 * 1024
/**
 * The kernel enforces the file size limit, in units of 512 bytes: checking the size of a folder would be too late for a remote that never
 * stops sending. With signal 25 (XFSZ) ignored, git reports "File too large" instead of being killed.
 */
const LAUNCH = 'ulimit -f "$1" 2>/dev/null; trap "" 25; shift; exec git "$@"'

/**
 * Throws `signal.reason` on abort, and the error of a failed `output` or `onStdout`; the process has ended then. A failure of git is not
 * thrown but returned.
 */
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
    // A process may exit before it has read all of its input. Its exit code tells the result.
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

/** Emits whole lines only, so that redaction never sees a secret cut in two. */
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
