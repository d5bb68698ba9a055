/**
 * Runs the heavy part of backups and restores in a child process with the lowest priority, so that this process and the services are not
 * delayed. The child exits when this process does.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { PortError } from '../../../platform/errors.ts'
import type { Answer, Task } from './child.ts'

const program = join(import.meta.dirname, 'child.ts')
const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', TZ: 'UTC' }

/** `input` and `output` pass the archive. `result` rejects with the reason if the task fails, or if `signal` aborts, which kills the child. */
export type RunningTask<Result> = { input: Writable; output: Readable; result: Promise<Result> }

export function startTask<Result>(task: Task, signal: AbortSignal): RunningTask<Result> {
  const child = spawn('nice', ['-n', '19', process.execPath, program], { stdio: ['pipe', 'pipe', 'pipe', 'ipc'], env: environment })
  const input = child.stdin as Writable
  // A child that has failed does not read its input. Its answer says why.
  input.on('error', () => {})
  child.send(task, () => {})
  return { input, output: child.stdout as Readable, result: answerOf(child, signal) }
}

function answerOf<Result>(child: ChildProcess, signal: AbortSignal): Promise<Result> {
  return new Promise<Result>((resolve, reject) => {
    let answer: Answer<Result> | null = null
    let printed = ''
    const stop = () => child.kill('SIGKILL')
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    child.on('message', (message) => {
      answer = message as Answer<Result>
    })
    child.stderr?.on('data', (bytes: Buffer) => {
      printed = (printed + bytes).slice(-2_000)
    })
    child.once('error', reject)
    child.once('close', (code, killedBy) => {
      signal.removeEventListener('abort', stop)
      if (signal.aborted) reject(signal.reason)
      else if (answer === null) reject(new Error(`The process of the backup ended with ${killedBy ?? code}. ${printed.trim()}`))
      else if ('result' in answer) resolve(answer.result)
      else reject(errorOf(answer))
    })
  })
}

const errorOf = ({ error, code, isPort }: { error: string; code: string | undefined; isPort: boolean }): Error =>
  isPort ? new PortError(code!, error) : Object.assign(new Error(error), { code })
