/**
 * Time for in-process logic. A person or NTP may set the wall clock back or forward at any time, so a duration, a window or an order
 * within a process goes by `elapsedMs`, and what processes share by the database's `app_now()`; `now` is for what people read.
 */
export type Clock = {
  now(): Date
  /** Milliseconds since some moment before, never set; comparable within this process alone. */
  elapsedMs(): number
}

export const systemClock: Clock = { now: () => new Date(), elapsedMs: () => performance.now() }

/** Waits, but no longer than the signal allows; an abort ends the wait without an error. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal?.addEventListener('abort', end, { once: true })
  })
}
