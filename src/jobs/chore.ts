import type { Chore } from '../platform/claim.ts'
import { pause } from '../platform/clock.ts'
import type { App } from '../platform/work.ts'
import { createRetry, createTrigger, type Loop } from './loop.ts'

/**
 * Runs a chore at once, then at each wake-up of its topic and every `everyMs`, but not sooner than `gatherMs` after its last start. If it
 * returns 'again', it runs again without a wait.
 */
export function startChore(app: App, chore: Chore): Loop {
  const stopping = new AbortController()
  const trigger = createTrigger(app, chore.topic)
  const retry = createRetry(
    app,
    { chore: chore.name },
    { failed: 'a background task failed and will run again', recovered: 'a background task succeeds again' },
  )

  const ended = (async () => {
    while (!stopping.signal.aborted) {
      try {
        const startedAt = performance.now()
        const again = await chore.run(app, stopping.signal)
        retry.succeeded()
        if (again === 'again') continue
        await trigger.wait(stopping.signal, chore.dueInMs?.(app) ?? chore.everyMs)
        const earlyMs = startedAt + (chore.gatherMs ?? 0) - performance.now()
        if (earlyMs > 0) await pause(earlyMs, stopping.signal)
      } catch (error) {
        if (stopping.signal.aborted) return
        await retry.waitAfter(error, stopping.signal)
      }
    }
  })()

  return {
    async stop() {
      stopping.abort()
      await ended
      trigger.close()
    },
  }
}
