import type { Chore } from '../platform/claim.ts'
import { pause } from '../platform/clock.ts'
import { createBackoff } from '../platform/db/index.ts'
import type { App } from '../platform/work.ts'
import { createBell, createFailureLog, type Loop } from './loop.ts'

/** Runs a chore at once, then at each wake-up of its topic and every `everyMs`; after 'again' without a wait. */
export function startChore(app: App, chore: Chore): Loop {
  const stopping = new AbortController()
  const bell = createBell(app, chore.topic)
  const backoff = createBackoff()
  const failures = createFailureLog(
    app,
    { chore: chore.name },
    { failed: 'a chore failed and runs again', goesOn: 'a chore runs well again' },
  )

  const ended = (async () => {
    while (!stopping.signal.aborted) {
      try {
        const again = await chore.run(app, stopping.signal)
        backoff.reset()
        failures.succeeded()
        if (again !== 'again') await bell.wait(stopping.signal, chore.dueInMs?.(app) ?? chore.everyMs)
      } catch (error) {
        if (stopping.signal.aborted) return
        failures.failed(error)
        await pause(backoff.next(), stopping.signal)
      }
    }
  })()

  return {
    async stop() {
      stopping.abort()
      await ended
      bell.close()
    },
  }
}
