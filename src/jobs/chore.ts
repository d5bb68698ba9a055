import type { Chore } from '../platform/claim.ts'
import { pause } from '../platform/clock.ts'
import type { App } from '../platform/work.ts'
import { createBackoff, createBell, type Loop } from './loop.ts'

/** Runs a chore at once, then at each wake-up of its topic and every `everyMs`; after 'again' without a wait. */
export function startChore(app: App, chore: Chore): Loop {
  const stopping = new AbortController()
  const bell = createBell(app, chore.topic)
  const backoff = createBackoff()

  const ended = (async () => {
    while (!stopping.signal.aborted) {
      try {
        const again = await chore.run(app, stopping.signal)
        backoff.reset()
        if (again !== 'again') await bell.wait(stopping.signal, chore.dueInMs?.(app) ?? chore.everyMs)
      } catch (error) {
        if (stopping.signal.aborted) return
        app.log.warn({ err: error, chore: chore.name }, 'a chore failed and runs again')
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
