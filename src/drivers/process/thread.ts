/**
 * Runs what reads or writes a whole tree (finish.ts) in a thread of its own, so that a tree of any size leaves the event loop alone.
 * Each call has its own thread, which ends with it.
 */
import { Worker } from 'node:worker_threads'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { TreeWork } from './finish.ts'

/** What a thread is given, and the messages that it answers with. */
export type ThreadCall = { name: keyof TreeWork; input: unknown }
export type ThreadMessage =
  | { type: 'say'; text: string }
  | { type: 'result'; result: unknown }
  | { type: 'refusal'; code: string; message: string; hint: string | undefined }
  | { type: 'error'; error: unknown; errno: string | undefined }

type Result<Name extends keyof TreeWork> = Awaited<ReturnType<TreeWork[Name]>>

/** Throws what the work threw, or `signal.reason` after an abort. */
export async function inThread<Name extends keyof TreeWork>(
  name: Name,
  input: Parameters<TreeWork[Name]>[0],
  io: StepIo,
): Promise<Result<Name>> {
  io.signal.throwIfAborted()
  const call: ThreadCall = { name, input }
  const thread = new Worker(new URL('./thread-entry.ts', import.meta.url), { workerData: call, execArgv: [], env: {} })
  // The answer waits until the last line is taken, and each line for the one before it.
  let said = Promise.resolve()
  let stop = () => {}
  try {
    return await new Promise<Result<Name>>((resolve, reject) => {
      stop = () => reject(io.signal.reason)
      io.signal.addEventListener('abort', stop, { once: true })
      thread.on('error', reject)
      let answered = false
      thread.on('exit', () => answered || reject(new Error('A thread ended without an answer')))
      thread.on('message', (message: ThreadMessage) => {
        answered = message.type !== 'say'
        if (message.type === 'say') {
          said = said.then(() => io.output('system', Buffer.from(`${message.text}\n`)))
          said.catch(reject)
        } else if (message.type === 'result') said.then(() => resolve(message.result as Result<Name>), reject)
        else said.then(() => reject(thrown(message)), reject)
      })
    })
  } finally {
    io.signal.removeEventListener('abort', stop)
    await thread.terminate()
  }
}

/** An error that was copied between threads has lost its class and its code. */
function thrown(message: Extract<ThreadMessage, { type: 'refusal' | 'error' }>): unknown {
  if (message.type === 'refusal') return new PortError(message.code, message.message, message.hint ? { hint: message.hint } : {})
  return message.errno ? Object.assign(message.error as Error, { code: message.errno }) : message.error
}
