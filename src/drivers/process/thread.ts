/**
 * Runs functions that read or write a whole tree (finish.ts) in a thread, so that trees of any size never block the event loop. Each call
 * has its own thread.
 */
import { Worker } from 'node:worker_threads'
import type { StepIo } from '../../domain/deploys/instance/ports.ts'
import { PortError } from '../../platform/errors.ts'
import type { TreeWork } from './finish.ts'

/** The input of a thread, and the messages that it sends. */
export type ThreadCall = { name: keyof TreeWork; input: unknown }
export type ThreadMessage =
  | { type: 'say'; text: string }
  | { type: 'result'; result: unknown }
  | { type: 'refusal'; code: string; message: string; hint: string | undefined }
  | { type: 'error'; error: unknown; errno: string | undefined }

type Result<Name extends keyof TreeWork> = Awaited<ReturnType<TreeWork[Name]>>

/** Throws the error of the function, or `signal.reason` after an abort. */
export async function inThread<Name extends keyof TreeWork>(
  name: Name,
  input: Parameters<TreeWork[Name]>[0],
  io: StepIo,
): Promise<Result<Name>> {
  io.signal.throwIfAborted()
  const call: ThreadCall = { name, input }
  const thread = new Worker(new URL('./thread-entry.ts', import.meta.url), { workerData: call, execArgv: [], env: {} })
  // Lines are written in order, and the result waits for the last one.
  let written = Promise.resolve()
  let stop = () => {}
  try {
    return await new Promise<Result<Name>>((resolve, reject) => {
      stop = () => reject(io.signal.reason)
      io.signal.addEventListener('abort', stop, { once: true })
      thread.on('error', reject)
      let isDone = false
      thread.on('exit', () => isDone || reject(new Error('A thread exited without a result.')))
      thread.on('message', (message: ThreadMessage) => {
        isDone = message.type !== 'say'
        if (message.type === 'say') {
          written = written.then(() => io.output('system', Buffer.from(`${message.text}\n`)))
          written.catch(reject)
        } else if (message.type === 'result') written.then(() => resolve(message.result as Result<Name>), reject)
        else written.then(() => reject(restoredError(message)), reject)
      })
    })
  } finally {
    io.signal.removeEventListener('abort', stop)
    await thread.terminate()
  }
}

/** Restores the class and code of an error, which are lost between threads. */
function restoredError(message: Extract<ThreadMessage, { type: 'refusal' | 'error' }>): unknown {
  if (message.type === 'refusal') return new PortError(message.code, message.message, message.hint ? { hint: message.hint } : {})
  return message.errno ? Object.assign(message.error as Error, { code: message.errno }) : message.error
}
