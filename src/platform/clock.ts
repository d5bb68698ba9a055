/** Time for in-process logic. Rows are stamped by the database's `app_now()`; see there. */
export type Clock = { now(): Date }

export const systemClock: Clock = { now: () => new Date() }

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
