/** The path of a statement to the database: through the pool, or over the connection of a transaction (transaction.ts). */
import type pg from 'pg'
import { DatabaseOutage } from './outage.ts'
import { isStale, type Outcome, type Query, send } from './statement.ts'

export type Route = {
  send(query: Query): Promise<Outcome>
  /**
   * Sends a statement whose outcome nobody waits for together with the next one, or with the commit. Its error rolls the transaction back.
   * Throws outside of a transaction.
   */
  defer(query: Query): void
}

/** The property of a handle that holds its route. */
export const route = Symbol('route')
export type Routed = { readonly [route]: Route }

/** Takes a connection from the pool for each statement. A stale prepared statement is sent a second time. */
export const throughPool = (pool: pg.Pool): Route => ({
  async send(query) {
    const client = await pool.connect()
    let lost = false
    try {
      const [outcome] = await send(client, [query]).catch((error: unknown) => {
        if (!isStale(error)) throw error
        return send(client, [query])
      })
      return outcome!
    } catch (error) {
      lost = error instanceof DatabaseOutage
      throw error
    } finally {
      client.release(lost)
    }
  },
  defer() {
    throw new Error('a statement can only be deferred in a transaction')
  },
})
