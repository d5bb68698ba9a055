/** Waits between retries, in milliseconds: random up to a limit that doubles, so that clients that failed together don't retry together. */
export type Backoff = { next(): number; reset(): void }

/** Starts at tens of milliseconds, for a database that restarts within a second, and grows up to `maxMs`. */
export function createBackoff(maxMs = 1_000): Backoff {
  let failures = 0
  return {
    next: () => Math.ceil(minMs + Math.random() * Math.min(maxMs - minMs, 50 * 2 ** Math.min(failures++, 10))),
    reset: () => {
      failures = 0
    },
  }
}

const minMs = 10
