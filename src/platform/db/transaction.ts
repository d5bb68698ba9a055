/**
 * Transactions on one connection of the pool. BEGIN is sent together with the first statement, deferred statements together with the next
 * one or with COMMIT. Prisma joins at its first call in the transaction, so that SQL and Prisma calls share it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { PrismaPg } from '@prisma/adapter-pg'
import type { SqlQueryable, Transaction } from '@prisma/driver-adapter-utils'
import type pg from 'pg'
import type { Prisma, PrismaClient } from '../../generated/prisma/client.ts'
import { type Route, type Routed, route } from './route.ts'
import { type Outcome, type Query, send } from './statement.ts'

export type TransactionHandle = Prisma.TransactionClient & Routed

export type TransactionOptions = {
  pool: pg.Pool
  /** Made with a JoiningAdapter on the same pool. */
  prisma: PrismaClient
  /** After this time the transaction is rolled back, and `run` can send nothing more. */
  timeoutMs: number
}

const begin: Query = { text: 'BEGIN', values: [] }
const commit: Query = { text: 'COMMIT', values: [] }
const rollback: Query = { text: 'ROLLBACK', values: [] }

/** Runs in a READ COMMITTED transaction and commits it; anything thrown rolls it back. One that sends nothing never begins. */
export async function inTransaction<T>(
  { pool, prisma, timeoutMs }: TransactionOptions,
  run: (tx: TransactionHandle) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  const guest = createGuest(prisma, client)
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
  const callPrisma: CallPrisma = (call) =>
    inTurn(async () => {
      const queries = due()
      if (queries.length > 0) await send(client, queries)
      return call(await guest.enter())
    })
  /** Sends the final statement and gives the connection back. A second end throws the reason of the first. */
  const end = async (final: Query, reason: string): Promise<void> => {
    if (over) throw over
    over = new Error(reason)
    await last
    await guest.leave()
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
    const result = await run(handle(prisma, own, callPrisma))
    await end(commit, 'the transaction is over')
    return result
  } catch (error) {
    if (!over) await end(rollback, 'the transaction is over').catch(() => {})
    throw error
  } finally {
    clearTimeout(deadline)
  }
}

type CallPrisma = <Result>(call: (tx: Prisma.TransactionClient) => Promise<Result>) => Promise<Result>
type Method = (...args: unknown[]) => Promise<unknown>

/** Prisma's client, each of whose calls goes through `callPrisma`. */
function handle(prisma: PrismaClient, own: Route, callPrisma: CallPrisma): TransactionHandle {
  const through =
    (find: (tx: Prisma.TransactionClient) => object, name: string | symbol): Method =>
    (...args) =>
      callPrisma((tx) => (Reflect.get(find(tx), name) as Method).apply(find(tx), args))
  return new Proxy(prisma, {
    get(target, name) {
      if (name === route) return own
      const part = Reflect.get(target, name) as unknown
      if (typeof part === 'function') return through((tx) => tx, name)
      if (typeof part !== 'object' || part === null) return part
      return new Proxy(part, { get: (_model, method) => through((tx) => Reflect.get(tx, name) as object, method) })
    },
  }) as unknown as TransactionHandle
}

const joined = new AsyncLocalStorage<pg.PoolClient>()

/** Prisma's part in a transaction: a separate transaction object on the same connection, which sends neither BEGIN nor COMMIT. */
function createGuest(prisma: PrismaClient, client: pg.PoolClient) {
  let entered: Promise<Prisma.TransactionClient> | null = null
  let left: Promise<void> | null = null
  let letGo = () => {}
  const join = () =>
    new Promise<Prisma.TransactionClient>((resolve, reject) => {
      const isOver = new Promise<void>((over) => {
        letGo = over
      })
      const work = (tx: Prisma.TransactionClient) => {
        resolve(tx)
        return isOver
      }
      // The deadline is the host's.
      left = joined.run(client, () => prisma.$transaction(work, { timeout: 2 ** 31 - 1 }))
      left.catch(reject)
    })
  return {
    enter: () => (entered ??= join()),
    async leave() {
      letGo()
      await left?.catch(() => {})
    },
  }
}

/** Prisma's adapter, whose transactions join the one that they are started in. */
export class JoiningAdapter extends PrismaPg {
  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect()
    const start = adapter.startTransaction.bind(adapter)
    adapter.startTransaction = async (isolationLevel) => {
      const client = joined.getStore()
      return client ? guestTransaction(adapter, client) : start(isolationLevel)
    }
    return adapter
  }
}

/** The adapter with one connection in place of its pool. */
function guestTransaction(adapter: SqlQueryable, client: pg.PoolClient): Transaction {
  const onClient = Object.create(adapter, { client: { value: client } }) as SqlQueryable
  return {
    provider: adapter.provider,
    adapterName: adapter.adapterName,
    // Prisma then ends it by these functions alone.
    options: { usePhantomQuery: true },
    queryRaw: (query) => onClient.queryRaw(query),
    executeRaw: (query) => onClient.executeRaw(query),
    commit: async () => {},
    rollback: async () => {},
  }
}
