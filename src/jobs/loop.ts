import { pause } from '../platform/clock.ts'
import { createBackoff } from '../platform/db/index.ts'
import { createFailureLog } from '../platform/failure-log.ts'
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

/** What a loop does about failures: it tells, and waits. An outage is waited out with short pauses: while it is known, they cost nothing. */
export function createSetbacks(app: App, fields: object, words: { failed: string; recovered: string }) {
  const [outage, failure] = [createBackoff(), createBackoff(5_000)]
  const log = createFailureLog(app, words)
  return {
    async waitAfter(error: unknown, signal: AbortSignal): Promise<void> {
      const kind = log.failed(error, fields)
      await pause((kind === 'database' ? outage : failure).next(), signal)
    },
    over(): void {
      outage.reset()
      failure.reset()
      log.succeeded()
    },
  }
}
