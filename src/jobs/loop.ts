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

/** Waiting times after failures in a row: short at first, for a database that restarts in a second, and never over 5 s. */
export function createBackoff(): { next(): number; reset(): void } {
  let failures = 0
  return {
    next: () => Math.min(5_000, 50 * 2 ** Math.min(failures++, 10)),
    reset: () => {
      failures = 0
    },
  }
}
