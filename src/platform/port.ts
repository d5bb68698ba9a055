/**
 * Ports connect commands and jobs to the outside: a concept defines its port, and main provides the implementation, once for each App.
 * Nothing is global: two Apps in one process, as in tests, each have their own.
 */
import type { App } from './work.ts'

export type Port<Implementation> = {
  name: string
  /** Whether the program runs without an implementation. */
  isOptional: boolean
  /** Provides the implementation for an App, before anything of that App runs. A second call replaces it. */
  provide(app: App, implementation: Implementation): void
  isProvided(app: App): boolean
  /** Throws an Error that names the port if no implementation was provided. */
  use(app: App): Implementation
}

export function definePort<Implementation>(name: string, { isOptional = false } = {}): Port<Implementation> {
  const provided = new WeakMap<App, Implementation>()
  return {
    name,
    isOptional,
    provide: (app, implementation) => void provided.set(app, implementation),
    isProvided: (app) => provided.has(app),
    use(app) {
      const implementation = provided.get(app)
      if (implementation === undefined) throw new Error(`nothing provides the port ${name}`)
      return implementation
    },
  }
}
