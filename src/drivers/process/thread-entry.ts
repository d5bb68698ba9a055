/** Entry point of a thread of `inThread`: runs one function of finish.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { PortError } from '../../platform/errors.ts'
import { treeWork } from './finish.ts'
import type { ThreadCall, ThreadMessage } from './thread.ts'

const { name, input } = workerData as ThreadCall
const answer = (message: ThreadMessage) => parentPort?.postMessage(message)

try {
  // `inThread` checked the input against the name.
  const result = await treeWork[name](input as never, (text) => answer({ type: 'say', text }))
  answer({ type: 'result', result })
} catch (error) {
  if (error instanceof PortError) answer({ type: 'refusal', code: error.code, message: error.message, hint: error.hint })
  else answer({ type: 'error', error, errno: (error as NodeJS.ErrnoException).code })
}
