/**
 * Routing of statements to connections: that of the transaction, or any of the pool. Transactions are opened by Prisma, whose adapter
 * reports the connection here, so that SQL and Prisma calls share one transaction.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { PrismaPg } from '@prisma/adapter-pg'
import type pg from 'pg'
import type { Prisma, PrismaClient } from '../../generated/prisma/client.ts'
import { DatabaseOutage } from './outage.ts'
import { isStale, type Outcome, send } from './statement.ts'

/** Sends a statement with positional parameters. */
export type Route = (query: Prisma.Sql) => Promise<Outcome>

/** The property of a handle that holds its route. */
export const route = Symbol('route')
export type Routed = { readonly [route]: Route }

/** Takes a connection from the pool for each statement. A stale prepared statement is sent a second time. */
export const throughPool =
  (pool: pg.Pool): Route =>
  async ({ text, values }) => {
    const client = await pool.connect()
    let lost = false
    try {
      return await send(client, text, values).catch((error: unknown) => {
        if (!isStale(error)) throw error
        return send(client, text, values)
      })
    } catch (error) {
      lost = error instanceof DatabaseOutage
      throw error
    } finally {
      client.release(lost)
    }
  }

type Opened = { client: pg.PoolClient | null }

const opening = new AsyncLocalStorage<Opened>()

/** Prisma's adapter; records the connection of each transaction opened by `inTransaction`. */
export class RoutedAdapter extends PrismaPg {
  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect()
    const startTransaction = adapter.startTransaction.bind(adapter)
    adapter.startTransaction = async (isolationLevel) => {
      const opened = opening.getStore()
      const transaction = await startTransaction(isolationLevel)
      if (!opened) return transaction
      opened.client = (transaction as unknown as { client: pg.PoolClient }).client
      // Prisma also ends a transaction at its deadline. The connection then belongs to somebody else.
      for (const end of ['commit', 'rollback'] as const) {
        const ended = transaction[end].bind(transaction)
        transaction[end] = () => {
          opened.client = null
          return ended()
        }
      }
      return transaction
    }
    return adapter
  }
}

type Options = { maxWait: number; timeout: number }

/** Runs in a Prisma transaction. The handle routes statements to the connection of the transaction. */
export function inTransaction<T>(
  prisma: PrismaClient,
  run: (tx: Prisma.TransactionClient & Routed) => Promise<T>,
  options: Options,
): Promise<T> {
  const opened: Opened = { client: null }
  const overTransaction: Route = async ({ text, values }) => {
    if (!opened.client) throw new Error('the transaction is over')
    return send(opened.client, text, values)
  }
  // A property set on Prisma's handle itself would be written through to the client.
  const routed = (tx: Prisma.TransactionClient) =>
    Object.create(tx, { [route]: { value: overTransaction } }) as Prisma.TransactionClient & Routed
  return opening.run(opened, () => prisma.$transaction((tx) => run(routed(tx)), options))
}
