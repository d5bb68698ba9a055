import type { Db } from '../../src/platform/db/index.ts'
import { type Route, route } from '../../src/platform/db/route.ts'

type Send = Route['send']

/** The same database, with `intercept` before each statement that is sent outside of a transaction. */
export function intercepting(db: Db, intercept: (text: string, send: () => ReturnType<Send>) => ReturnType<Send>): Db {
  const own = db[route]
  const send: Send = (query) => intercept(query.text, () => own.send(query))
  return { ...db, [route]: { ...own, send, lookUp: send } }
}
