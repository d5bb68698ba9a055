import { setTimeout as delay } from 'node:timers/promises'

export type SupervisorOptions = {
  /** A cheap check: a few system calls. */
  isServing: () => Promise<boolean>
  /** Brings the server from any state to accepting connections. */
  bringUp: (signal: AbortSignal) => Promise<unknown>
  /** Called once when the server is lost, once when it cannot be started, and once when it is back. */
  onChange: (change: SupervisorChange) => void
}

export type SupervisorChange = { state: 'lost' | 'back' } | { state: 'failed'; error: unknown }

export type Supervisor = {
  /** Stops supervising. Does not wait for a start in progress. */
  close(): void
}

const checkMs = 500
const longestWaitMs = 15_000

/**
 * Restarts a server whenever it has exited or cannot be reached. Waits between failures double up to 15 s, with jitter. PostgreSQL itself
 * recovers from a killed session.
 */
export function supervise(options: SupervisorOptions): Supervisor {
  const closing = new AbortController()
  void watch(options, closing.signal)
  return { close: () => closing.abort() }
}

async function watch({ isServing, bringUp, onChange }: SupervisorOptions, signal: AbortSignal): Promise<void> {
  let isLost = false
  let failures = 0
  while (!signal.aborted) {
    try {
      if (!(await isServing())) {
        if (!isLost) onChange({ state: 'lost' })
        isLost = true
        await bringUp(signal)
      }
      if (isLost && !signal.aborted) onChange({ state: 'back' })
      isLost = false
      failures = 0
    } catch (error) {
      if (failures++ === 0 && !signal.aborted) onChange({ state: 'failed', error })
    }
    const backoffMs = Math.min(longestWaitMs, checkMs * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2)
    await delay(failures === 0 ? checkMs : backoffMs, undefined, { signal }).catch(() => {})
  }
}
