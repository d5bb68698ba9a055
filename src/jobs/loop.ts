import { pause } from '../platform/clock.ts'
import { createBackoff } from '../platform/db/index.ts'
import { createFailureLog } from '../platform/failure-log.ts'
import type { App } from '../platform/work.ts'

export type Loop = { stop(graceMs: number): Promise<void> }

/** What a loop waits for between two rounds. A trigger that is fired during a round is kept for the next wait. */
export type Trigger = {
  fire(): void
  /** Resolves when fired (true), after `ms` if given, or on abort. */
  wait(signal: AbortSignal, ms?: number): Promise<boolean>
  close(): void
}

/** Fired by `fire` and by each wake-up of the topic. */
export function createTrigger(app: App, topic: string | null): Trigger {
  let isFired = false
  let endWait: (() => void) | undefined
  const fire = () => {
    isFired = true
    endWait?.()
  }
  const off = topic === null ? () => {} : app.wake.on(topic, fire)
  return {
    fire,
    wait: (signal, ms) =>
      new Promise((resolve) => {
        const timer = ms === undefined ? undefined : setTimeout(() => end(), ms)
        const end = () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', end)
          endWait = undefined
          resolve(isFired)
          isFired = false
        }
        endWait = end
        signal.addEventListener('abort', end, { once: true })
        if (isFired || signal.aborted) end()
      }),
    close: off,
  }
}

/** Logs the failures of a loop and delays its next round. The delays are short during an outage, as statements then fail at once. */
export function createRetry(app: App, fields: object, messages: { failed: string; recovered: string }) {
  const [outage, failure] = [createBackoff(), createBackoff(5_000)]
  const log = createFailureLog(app, messages)
  return {
    async waitAfter(error: unknown, signal: AbortSignal): Promise<void> {
      const kind = log.failed(error, fields)
      await pause((kind === 'database' ? outage : failure).next(), signal)
    },
    succeeded(): void {
      outage.reset()
      failure.reset()
      log.succeeded()
    },
  }
}
