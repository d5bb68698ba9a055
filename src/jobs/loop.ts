import type { App } from '../platform/work.ts'

export type Loop = { stop(graceMs: number): Promise<void> }

/** What a loop waits on between two rounds. A ring while nobody waits is kept, so that none is lost during a round. */
export type Bell = {
  ring(): void
  /** Rung since the last wait: the next one will be none. */
  isRung(): boolean
  /** Resolves at a ring (true), after `ms` (never by time when absent), or on abort. */
  wait(signal: AbortSignal, ms?: number): Promise<boolean>
  close(): void
}

/** Rung by hand, and by each wake-up of the topic. */
export function createBell(app: App, topic: string | null): Bell {
  let rung = false
  let answer: (() => void) | undefined
  const ring = () => {
    rung = true
    answer?.()
  }
  const off = topic === null ? () => {} : app.wake.on(topic, ring)
  return {
    ring,
    isRung: () => rung,
    wait: (signal, ms) =>
      new Promise((resolve) => {
        const timer = ms === undefined ? undefined : setTimeout(() => end(), ms)
        const end = () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', end)
          answer = undefined
          resolve(rung)
          rung = false
        }
        answer = end
        signal.addEventListener('abort', end, { once: true })
        if (rung || signal.aborted) end()
      }),
    close: off,
  }
}

/**
 * Says the first of several failures in a row, and when the loop goes on, how many there were. An outage is told by itself, once for all
 * loops.
 */
export function createFailureLog(app: App, fields: object, { failed, goesOn }: { failed: string; goesOn: string }) {
  let failures = 0
  let since = 0
  return {
    failed(error: unknown): void {
      if (app.db.outages.note(error)) return
      if (failures++ > 0) return
      since = performance.now()
      app.log.warn({ err: error, ...fields }, failed)
    },
    succeeded(): void {
      if (failures > 0) app.log.info({ ...fields, failures, afterMs: Math.round(performance.now() - since) }, goesOn)
      failures = 0
    },
  }
}
