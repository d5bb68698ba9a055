import type { Chore } from '../platform/claim.ts'
import type { App } from '../platform/work.ts'
import { createBell, createSetbacks, type Loop } from './loop.ts'

/** Runs a chore at once, then at each wake-up of its topic and every `everyMs`; after 'again' without a wait. */
export function startChore(app: App, chore: Chore): Loop {
  const stopping = new AbortController()
  const bell = createBell(app, chore.topic)
  const setbacks = createSetbacks(
    app,
    { chore: chore.name },
    { failed: 'a background task failed and will run again', recovered: 'a background task succeeds again' },
  )

  const ended = (async () => {
    while (!stopping.signal.aborted) {
      try {
        const again = await chore.run(app, stopping.signal)
        setbacks.over()
        if (again !== 'again') await bell.wait(stopping.signal, chore.dueInMs?.(app) ?? chore.everyMs)
      } catch (error) {
        if (stopping.signal.aborted) return
        await setbacks.waitAfter(error, stopping.signal)
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
