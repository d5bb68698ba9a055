/**
 * Time for in-process logic. The wall clock may be set back or forward at any time, so durations, windows and ordering within a process use
 * `elapsedMs`, and whatever processes share uses the database's `app_now()`. `now` is for timestamps that people read.
 */
export type Clock = {
  now(): Date
  /** Milliseconds since an arbitrary moment; monotonic, and comparable within this process only. */
  elapsedMs(): number
}

export const systemClock: Clock = { now: () => new Date(), elapsedMs: () => performance.now() }

/** Waits for `ms`, or until the signal aborts. Never rejects. */
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

/** Waits for the promise. Rejects with the signal's reason as soon as the signal aborts, although the promise goes on. */
export async function abortable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
