/**
 * Transactions on one connection of the pool. Statements that are sent without waiting for each other travel in one round trip: BEGIN with
 * the first ones, COMMIT with the last ones.
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

/**
 * Runs in a READ COMMITTED transaction and commits it; anything thrown rolls it back, and so does a failed statement even if its error was
 * caught. A transaction that sends nothing never begins.
 */
export async function inTransaction<T>({ pool, timeoutMs }: TransactionOptions, run: (tx: Routed) => Promise<T>): Promise<T> {
  const line = openLine(await pool.connect())
  const tooLate = () => void line.end(rollback, `the transaction took longer than ${timeoutMs} ms`).catch(() => {})
  const deadline = setTimeout(tooLate, timeoutMs)
  try {
    const result = await run({ [route]: line })
    await line.end(commit, 'the transaction is over')
    return result
  } catch (error) {
    await line.end(rollback, 'the transaction is over').catch(() => {})
    throw error
  } finally {
    clearTimeout(deadline)
  }
}

/** A statement that has not been sent yet. A deferred one has no promise. */
type Waiting = { query: Query; promise?: PromiseWithResolvers<Outcome> }

type Line = Route & {
  /** Sends what waits and the final statement, and gives the connection back. Throws what rolled the transaction back, or why it is over. */
  end(final: Query, reason: string): Promise<void>
}

function openLine(client: pg.PoolClient): Line {
  let waiting: Waiting[] = []
  let isScheduled = false
  /** A connection executes one batch at a time. */
  let inFlight: Promise<void> | null = null
  let isBegun = false
  let failure: { error: unknown } | null = null
  let over: Error | null = null

  const sendBatch = async (batch: readonly Waiting[], final: readonly Query[]): Promise<void> => {
    const opening = isBegun ? [] : [begin]
    isBegun = true
    try {
      const outcomes = await send(client, [...opening, ...batch.map(({ query }) => query), ...final])
      for (const [at, { promise }] of batch.entries()) promise?.resolve(outcomes[opening.length + at]!)
    } catch (error) {
      failure ??= { error }
      for (const { promise } of batch) promise?.reject(error)
    }
  }
  const take = (): Waiting[] => {
    const taken = waiting
    waiting = []
    return taken
  }
  const flush = () => {
    isScheduled = false
    if (over || inFlight || !waiting.some(({ promise }) => promise)) return
    inFlight = sendBatch(take(), []).then(() => {
      inFlight = null
      flush()
    })
  }
  /** Sends when no more code is left to run, so that statements that don't wait for each other are in one batch. */
  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    process.nextTick(flush)
  }

  const line: Line = {
    send(query) {
      if (over) return Promise.reject(over)
      if (failure) return Promise.reject(failure.error)
      const promise = Promise.withResolvers<Outcome>()
      // Its error also ends the transaction, so it is not lost if nobody waits for it.
      promise.promise.catch(() => {})
      waiting.push({ query, promise })
      schedule()
      return promise.promise
    },
    lookUp: (query) => line.send(query),
    defer: (query) => void waiting.push({ query }),
    async end(final, reason) {
      if (over) throw over
      over = new Error(reason)
      await inFlight
      const left = take()
      if (final === commit && !failure) {
        if (isBegun || left.length > 0) await sendBatch(left, [commit])
      } else for (const { promise } of left) promise?.reject(over)
      const isOpen = isBegun && (final === rollback || failure !== null)
      const isBroken = isOpen && !(await answers(client, rollback))
      client.release(isBroken)
      if (final === commit && failure) throw failure.error
    },
  }
  return line
}

const answers = (client: pg.PoolClient, query: Query): Promise<boolean> =>
  send(client, [query]).then(
    () => true,
    () => false,
  )
