/**
 * Handles errors that nothing else caught. An external error (of a socket, a stream or a child process whose owner no longer listens) is
 * logged and counted, and the process continues: such an error leaves no state half changed. The same holds for an unhandled rejection,
 * whose function was unwound completely. Any other exception may have interrupted a callback, after which the process's state is undefined
 * (see Node's manual): the process drains, so that no request is cut off, and exits with `restartExitCode`, upon which boot.mjs restarts it.
 */
import { Counter } from 'prom-client'
import type { Logger } from './log.ts'

/** EX_TEMPFAIL of sysexits.h. */
export const restartExitCode = 75

export const uncaughtErrors = new Counter({
  name: 'quayside_uncaught_errors_total',
  help: 'Uncaught errors by kind: outside (of a socket, stream or child process), rejection or bug.',
  labelNames: ['kind'] as const,
  registers: [],
})

/** Call it once per process. `drain` is called at the first error after which the process can't continue. */
export function catchUncaught(log: Logger, drain: () => void): void {
  // The terminal or pipe was closed, so there is nowhere to report it.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  process.on('unhandledRejection', (error) => {
    uncaughtErrors.inc({ kind: isExternal(error) ? 'outside' : 'rejection' })
    log.error({ err: error }, 'A rejected promise was not handled. The process continues.')
  })
  process.on('uncaughtException', (error) => {
    if (isExternal(error)) {
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
 * Whether an error originates outside the program. Errors of the system, TLS, the HTTP parser, streams and PostgreSQL have a code; errors of
 * a wrong call are JavaScript's own types.
 */
export function isExternal(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return true
  const isWrongCall = [TypeError, RangeError, ReferenceError, SyntaxError, EvalError].some((type) => error instanceof type)
  const { code } = error as NodeJS.ErrnoException
  return typeof code === 'string' && !isWrongCall && code !== 'ERR_ASSERTION'
}
