import type { Db } from '../../src/platform/db/index.ts'
import { type Route, route } from '../../src/platform/db/route.ts'

type Send = Route['send']

/** The same client, with `intercept` before each statement that is sent outside of a transaction. */
export function intercepting(
  prisma: Db['prisma'],
  intercept: (text: string, send: () => ReturnType<Send>) => ReturnType<Send>,
): Db['prisma'] {
  return new Proxy(prisma, {
    get(target, name) {
      const own = target[route]
      if (name === route) return { ...own, send: (query) => intercept(query.text, () => own.send(query)) } satisfies Route
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
