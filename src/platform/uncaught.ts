/**
 * The last net: what is thrown where nobody catches it. A fault of the outside (a socket, a stream, a child process that fails when its
 * owner has stopped listening) is logged and counted, and the process goes on: such an error reports what happened out there and leaves
 * no state of ours half changed. So does a rejection that nobody awaits: its function was unwound to the end. Any other exception
 * may have left a callback in the middle of its work, after which nothing can be relied on (Node's manual says so too): the process
 * drains, so that nobody's request is cut, and ends with `restartExitCode`, upon which its starter runs it anew.
 */
import { Counter } from 'prom-client'
import type { Logger } from './log.ts'

/** EX_TEMPFAIL. */
export const restartExitCode = 75

export const uncaughtErrors = new Counter({
  name: 'quayside_uncaught_errors_total',
  help: 'Errors that nothing in the program caught, by kind: outside (of a socket, stream or child process), rejection, or bug.',
  labelNames: ['kind'] as const,
  registers: [],
})

/** To be called once in a process. `drain` is called at the first error after which the process can't go on. */
export function catchUncaught(log: Logger, drain: () => void): void {
  // A closed terminal or pipe: there is nowhere left to tell it.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  process.on('unhandledRejection', (error) => {
    uncaughtErrors.inc({ kind: isOfOutside(error) ? 'outside' : 'rejection' })
    log.error({ err: error }, 'A rejected promise was not handled. The process continues.')
  })
  process.on('uncaughtException', (error) => {
    if (isOfOutside(error)) {
      uncaughtErrors.inc({ kind: 'outside' })
      log.error({ err: error }, 'An error of a socket, stream or child process was not handled. The process continues.')
      return
    }
    uncaughtErrors.inc({ kind: 'bug' })
    log.fatal({ err: error }, 'An exception was not caught. The process drains and restarts.')
    drain()
  })
}

/**
 * Whether an error tells what happened outside of the program: those of the system, of TLS, of HTTP's parser, of streams and of
 * PostgreSQL have a code, and those of a wrong call are of JavaScript's own types.
 */
export function isOfOutside(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return true
  const isWrongCall = [TypeError, RangeError, ReferenceError, SyntaxError, EvalError].some((type) => error instanceof type)
  const { code } = error as NodeJS.ErrnoException
  return typeof code === 'string' && !isWrongCall && code !== 'ERR_ASSERTION'
}
