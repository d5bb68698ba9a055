/**
 * How failures that the program survives are logged. A database outage or a full disk affects everything at once: db/outage-log.ts logs it
 * once, and nothing is logged for it here.
 */
import type { OutageKind } from './db/index.ts'
import type { App } from './work.ts'

type Level = 'warn' | 'error'

/** Logs the failure of something that isn't repeated. Returns the kind of outage that caused it, or null. */
export function reportFailure(app: App, error: unknown, message: string, fields: object = {}, level: Level = 'error'): OutageKind | null {
  const outage = app.db.outages.note(error)
  if (!outage) app.log[level]({ err: error, ...fields }, message)
  return outage
}

/** Logs something that is repeated twice: when it starts to fail, and when it succeeds again, with the number of failures in between. */
export type FailureLog = {
  /** Call after each failure; `key` names one of several things. Returns the kind of outage that caused it, or null. */
  failed(error: unknown, fields?: object, key?: string): OutageKind | null
  /** Call after each success. */
  succeeded(key?: string): void
}

export function createFailureLog(app: App, messages: { failed: string; recovered: string }, level: Level = 'error'): FailureLog {
  const failing = new Map<string, { fields: object; failures: number; since: number }>()
  return {
    failed(error, fields = {}, key = '') {
      const known = failing.get(key)
      const outage = known ? app.db.outages.note(error) : reportFailure(app, error, messages.failed, fields, level)
      if (outage) return outage
      if (known) known.failures++
      else failing.set(key, { fields, failures: 1, since: performance.now() })
      return null
    },
    succeeded(key = '') {
      const known = failing.get(key)
      if (!known) return
      failing.delete(key)
      app.log.info({ ...known.fields, failures: known.failures, afterMs: Math.round(performance.now() - known.since) }, messages.recovered)
    },
  }
}
