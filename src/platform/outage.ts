/** What requests and loops make of an outage: a database that is away, or a full disk. What counts as one is platform/db/outage.ts's. */
import { pause } from './clock.ts'
import { createBackoff, type OutageKind } from './db/index.ts'
import { DomainError, errors } from './errors.ts'
import type { App } from './work.ts'

const texts: Record<OutageKind, string> = {
  database: 'The database is temporarily unavailable. Retry later.',
  disk: 'The disk is full.',
}

/** After so long it is worth while to ask again. */
const retryAfterSeconds = 2

/** What a caller may be told of an error: a refusal as it is, an outage as `unavailable`; null for everything that is to be masked. */
export function refusalOf(app: App, error: unknown): DomainError | null {
  if (error instanceof DomainError) return error
  const kind = app.db.outages.note(error)
  return kind && errors.unavailable({ text: texts[kind], details: { retryAfterSeconds }, cause: error })
}

/** The result, unless REQUEST_TIMEOUT_MS passes before: then `timeout`, or `unavailable` while the database is away. */
export function withinDeadline<T>(app: App, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(overdue(app)), app.settings.REQUEST_TIMEOUT_MS)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** Why a request has no answer at its deadline. */
export function overdue(app: App): DomainError {
  const outage = app.db.session.outage()
  return (outage && refusalOf(app, outage)) ?? errors.timeout()
}

/** Logs a failure that a loop goes on after. An outage is told once for all of them, by itself. */
export function reportFailure(app: App, error: unknown, message: string, fields: object = {}, level: 'warn' | 'error' = 'error'): void {
  if (!app.db.outages.note(error)) app.log[level]({ err: error, ...fields }, message)
}

/**
 * Runs something again until the database takes it, or `signal` aborts; then the last error is thrown, as is any that is no outage of the
 * database. What is run must bear that its last try was done and only the answer was lost.
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
