import { setTimeout as delay } from 'node:timers/promises'

export type SupervisorOptions = {
  /** A look that costs a few system calls. */
  isServing: () => Promise<boolean>
  /** Leads from any state to a server that is ready. */
  bringUp: (signal: AbortSignal) => Promise<unknown>
  /** Told once when the server is lost, once when it can't be started, once when it is back. */
  onChange: (change: SupervisorChange) => void
}

export type SupervisorChange = { state: 'lost' | 'back' } | { state: 'failed'; error: unknown }

export type Supervisor = {
  /** Watches no more. A start that is under way is not waited for. */
  close(): void
}

const lookMs = 500
const longestWaitMs = 15_000

/**
 * Starts a server again whenever it has died or can't be reached. Waits between failures double up to 15 s, with jitter. What
 * PostgreSQL mends by itself (a killed session) is left to it.
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
    const backoffMs = Math.min(longestWaitMs, lookMs * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2)
    await delay(failures === 0 ? lookMs : backoffMs, undefined, { signal }).catch(() => {})
  }
}
