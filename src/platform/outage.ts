/** How requests and loops treat an outage: a database that is unavailable, or a full disk. db/outage.ts decides what counts as one. */
import { pause } from './clock.ts'
import { createBackoff, type OutageKind } from './db/index.ts'
import { DomainError, errors } from './errors.ts'
import type { App } from './work.ts'

const texts: Record<OutageKind, string> = {
  database: 'The database is temporarily unavailable. Retry later.',
  disk: 'The disk is full.',
}

const retryAfterSeconds = 2

/** The error that a caller may see: a DomainError as it is, `unavailable` for an outage, null for an error that must be masked. */
export function refusalOf(app: App, error: unknown): DomainError | null {
  if (error instanceof DomainError) return error
  const kind = app.db.outages.note(error)
  return kind && errors.unavailable({ text: texts[kind], details: { retryAfterSeconds }, cause: error })
}

/** Rejects with `timeout`, or with `unavailable` during a database outage, if `work` takes longer than REQUEST_TIMEOUT_MS, or `timeoutMs`. */
export function withinDeadline<T>(app: App, work: T | Promise<T>, timeoutMs = app.settings.REQUEST_TIMEOUT_MS): T | Promise<T> {
  if (!(work instanceof Promise)) return work
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(overdue(app)), timeoutMs)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** The error of a request that has no answer at its deadline: `unavailable` during a database outage, otherwise `timeout`. */
export function overdue(app: App): DomainError {
  const outage = app.db.session.outage()
  return (outage && refusalOf(app, outage)) ?? errors.timeout()
}

/**
 * Repeats `run` during a database outage until it succeeds or `signal` aborts. Throws the last error then, and any other error at once.
 * `run` must be safe to repeat: an attempt may have been committed although its answer was lost.
 */
export async function throughOutages<T>(app: App, run: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const backoff = createBackoff()
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if (app.db.outages.note(error) !== 'database' || signal?.aborted) throw error
      await pause(backoff.next(), signal)
      if (signal?.aborted) throw error
    }
  }
}
