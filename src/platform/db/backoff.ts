/** Waiting times after failures in a row: random up to a limit that doubles, so that those who failed together don't come again together. */
export type Backoff = { next(): number; reset(): void }

/** From tens of milliseconds, for a database that restarts in a second, up to `mostMs`. */
export function createBackoff(mostMs = 1_000): Backoff {
  let failures = 0
  return {
    next: () => Math.ceil(leastMs + Math.random() * Math.min(mostMs - leastMs, 50 * 2 ** Math.min(failures++, 10))),
    reset: () => {
      failures = 0
    },
  }
}

const leastMs = 10
