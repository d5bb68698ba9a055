/**
 * Transactions on one connection of the pool. BEGIN is sent together with the first statement, deferred statements together with the next
 * one or with COMMIT.
 */
import type pg from 'pg'
import { type Route, type Routed, route } from './route.ts'
import { type Outcome, type Query, send } from './statement.ts'

export type TransactionOptions = {
  pool: pg.Pool
  /** After this time the transaction is rolled back, and `run` can send nothing more. */
  timeoutMs: number
}

const begin: Query = { text: 'BEGIN', values: [] }
const commit: Query = { text: 'COMMIT', values: [] }
const rollback: Query = { text: 'ROLLBACK', values: [] }

/** Runs in a READ COMMITTED transaction and commits it; anything thrown rolls it back. One that sends nothing never begins. */
export async function inTransaction<T>({ pool, timeoutMs }: TransactionOptions, run: (tx: Routed) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let isBegun = false
  let deferred: Query[] = []
  let over: Error | null = null

  /** What is to be sent before the next statement. */
  const due = (): Query[] => {
    const queries = isBegun ? deferred : [begin, ...deferred]
    isBegun = true
    deferred = []
    return queries
  }
  let last: Promise<unknown> = Promise.resolve()
  /** A connection executes one statement at a time. */
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const next = last.then(() => {
      if (over) throw over
      return work()
    })
    last = next.catch(() => {})
    return next
  }
  const own: Route = {
    send: (query) => inTurn(async () => (await send(client, [...due(), query])).at(-1) as Outcome),
    defer: (query) => void deferred.push(query),
  }
  /** Sends the final statement and gives the connection back. A second end throws the reason of the first. */
  const end = async (final: Query, reason: string): Promise<void> => {
    if (over) throw over
    over = new Error(reason)
    await last
    const isEmpty = !isBegun && (final === rollback || deferred.length === 0)
    let isBroken = true
    try {
      if (!isEmpty) await send(client, final === commit ? [...due(), commit] : [rollback])
      isBroken = false
    } finally {
      client.release(isBroken)
    }
  }

  const deadline = setTimeout(() => void end(rollback, `the transaction took longer than ${timeoutMs} ms`).catch(() => {}), timeoutMs)
  try {
    const result = await run({ [route]: own })
    await end(commit, 'the transaction is over')
    return result
  } catch (error) {
    if (!over) await end(rollback, 'the transaction is over').catch(() => {})
    throw error
  } finally {
    clearTimeout(deadline)
  }
}
