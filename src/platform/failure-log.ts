import type { OutageKind } from './db/index.ts'
import type { App } from './work.ts'

/** Says of what is tried again and again when it first fails and when it is well again, not each failure between. */
export type FailureLog = {
  /** Of one of several things by its key. An outage is told by itself, once for all, and counts as no failure here; gives its kind. */
  failed(error: unknown, fields?: object, key?: string): OutageKind | null
  well(key?: string): void
}

export function createFailureLog(app: App, { failed, goesOn }: { failed: string; goesOn: string }): FailureLog {
  const failing = new Map<string, { fields: object; failures: number; since: number }>()
  return {
    failed(error, fields = {}, key = '') {
      const kind = app.db.outages.note(error)
      if (kind) return kind
      const known = failing.get(key)
      if (known) known.failures++
      else {
        failing.set(key, { fields, failures: 1, since: performance.now() })
        app.log.error({ err: error, ...fields }, failed)
      }
      return null
    },
    well(key = '') {
      const known = failing.get(key)
      if (!known) return
      failing.delete(key)
      app.log.info({ ...known.fields, failures: known.failures, afterMs: Math.round(performance.now() - known.since) }, goesOn)
    },
  }
}
