/** The path of a statement to the database: through the pool, or over the connection of a transaction (transaction.ts). */
import type pg from 'pg'
import { DatabaseOutage } from './outage.ts'
import { isStale, type Outcome, type Query, send } from './statement.ts'

export type Route = {
  send(query: Query): Promise<Outcome>
  /**
   * Sends a statement that reads a row by a unique key, so that it is certainly quick. Outside of a transaction, those of one turn of the event
   * loop, whoever sends them, are one round trip, which costs both sides half of what each would on its own.
   */
  lookUp(query: Query): Promise<Outcome>
  /**
   * Sends a statement whose outcome nobody waits for together with the next one, or with the commit. Its error rolls the transaction back.
   * Throws outside of a transaction.
   */
  defer(query: Query): void
}

/** The property of a handle that holds its route. */
export const route = Symbol('route')
export type Routed = { readonly [route]: Route }

/** Takes a connection from the pool for each statement, or for look-ups that are sent together. */
export function throughPool(pool: pg.Pool): Route {
  const sendAlone = async (query: Query) => (await sendOnFree(pool, [query]))[0]!
  return {
    send: sendAlone,
    lookUp: gather(async (queries) => {
      try {
        return await sendOnFree(pool, queries)
      } catch (error) {
        if (queries.length === 1 || error instanceof DatabaseOutage) throw error
        // It is the error of one of them, which the others don't share.
        return queries.map(sendAlone)
      }
    }),
    defer() {
      throw new Error('a statement can only be deferred in a transaction')
    },
  }
}

/** A stale prepared statement is sent a second time. */
async function sendOnFree(pool: pg.Pool, queries: readonly Query[]): Promise<Outcome[]> {
  const client = await pool.connect()
  let lost = false
  try {
    return await send(client, queries).catch((error: unknown) => {
      if (!isStale(error)) throw error
      return send(client, queries)
    })
  } catch (error) {
    lost = error instanceof DatabaseOutage
    throw error
  } finally {
    client.release(lost)
  }
}

/** More would wait for each other longer than they save. */
const togetherMost = 16

/** Passes on together what is sent in one turn of the event loop. */
function gather(sendAll: (queries: readonly Query[]) => Promise<(Outcome | Promise<Outcome>)[]>): Route['send'] {
  let waiting: Waiting[] = []
  const pass = async (part: readonly Waiting[]) => {
    try {
      const outcomes = await sendAll(part.map(({ query }) => query))
      for (const [at, { promise }] of part.entries()) promise.resolve(outcomes[at]!)
    } catch (error) {
      for (const { promise } of part) promise.reject(error)
    }
  }
  const flush = () => {
    const gathered = waiting
    waiting = []
    for (let from = 0; from < gathered.length; from += togetherMost) void pass(gathered.slice(from, from + togetherMost))
  }
  return (query) => {
    const promise = Promise.withResolvers<Outcome>()
    if (waiting.push({ query, promise }) === 1) setImmediate(flush)
    return promise.promise
  }
}

type Waiting = { query: Query; promise: PromiseWithResolvers<Outcome> }
