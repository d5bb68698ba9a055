/**
 * How a command or a job reaches the outside: a concept defines its port, main provides what implements it, once for each App.
 * Nothing global: two Apps in one process, as in tests, have their own.
 */
import type { App } from './work.ts'

export type Port<Implementation> = {
  name: string
  /** The program runs without an implementation. */
  isOptional: boolean
  /** Provides the implementation for an App, before anything of that App runs. A later one replaces it. */
  provide(app: App, implementation: Implementation): void
  isProvided(app: App): boolean
  /** Throws an Error that names the port when main has provided none. */
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
