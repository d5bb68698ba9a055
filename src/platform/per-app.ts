/**
 * In-memory state of one App, created at first use and released with the App. Nothing is global: two Apps in one process, as in tests, each
 * have their own.
 */
import type { App } from './work.ts'

export function perApp<Memory>(create: (app: App) => Memory): (app: App) => Memory {
  const memories = new WeakMap<App, Memory>()
  return (app) => {
    const known = memories.get(app)
    if (known !== undefined) return known
    const made = create(app)
    memories.set(app, made)
    return made
  }
}
