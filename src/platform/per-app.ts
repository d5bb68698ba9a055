/**
 * What a process remembers for one App: made at the first use, gone with the App. Nothing global: two Apps in one process, as in
 * tests, have their own.
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
