/**
 * Whether the SMTP server can be reached, as this process has observed it. After some attempts in a row without an answer, one mail at a time
 * is tried, at growing intervals, so that an absent server costs little.
 */
import { createBackoff } from '../../../platform/db/index.ts'
import { perApp } from '../../../platform/per-app.ts'

/** Number of consecutive attempts without an answer that opens the breaker. */
const maxFailures = 3
const maxPauseMs = 60_000

export type Breaker = {
  /** Whether only one mail at a time is tried. */
  readonly isOpen: boolean
  /** Time until the next mail may be tried, in milliseconds. */
  pauseMs(): number
  /** Returns true for the first answer after a failure or the start: mails may be waiting for the server. */
  answered(): boolean
  failed(): void
}

export const breakerOf = perApp((app): Breaker => {
  const backoff = createBackoff(maxPauseMs)
  let failures = 0
  let untilMs = 0
  let mayBeAwaited = true
  return {
    get isOpen() {
      return failures >= maxFailures
    },
    pauseMs: () => (failures >= maxFailures ? Math.max(0, untilMs - app.clock.elapsedMs()) : 0),
    answered() {
      const wasAwaited = mayBeAwaited
      failures = 0
      mayBeAwaited = false
      backoff.reset()
      return wasAwaited
    },
    failed() {
      failures++
      mayBeAwaited = true
      if (failures >= maxFailures) untilMs = app.clock.elapsedMs() + backoff.next()
    },
  }
})
