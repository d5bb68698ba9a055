/**
 * The only room that uses `pg`, opens transactions and creates the Prisma client. Rows are the model: concepts run SQL on the handles
 * from here, each on its own tables. No domain rule belongs in this room.
 */
import pg from 'pg'
import type { Logger } from 'pino'
import type { PrismaClient } from '../../generated/prisma/client.ts'
import { namingOutage } from './outage.ts'
import { createOutageLog, type OutageLog } from './outage-log.ts'
import { createPool } from './pool.ts'
import { type Routed, route, throughPool } from './route.ts'
import { createSession, type Session } from './session.ts'
import type { Sql } from './sql.ts'
import { type Build, isStale } from './statement.ts'
import { inTransaction } from './transaction.ts'

export { type Backoff, createBackoff } from './backoff.ts'
export { assignments, columnOf, newRow } from './column.ts'
export { fieldsOf, type Model, type RowOf } from './model.ts'
export { DatabaseOutage, type OutageKind, outageOf } from './outage.ts'
export { anyOf, empty, join, raw, type Sql, sql } from './sql.ts'

/** The handle that commands write through and queries read through: a transaction, or the Db, which runs each statement on its own. */
export type Tx = Routed

export type Db = Routed & {
  /** For hot loops that need no multi-statement transaction. */
  pool: pg.Pool
  /**
   * Runs in one READ COMMITTED transaction; anything thrown rolls it back. A transaction that the database aborts because of a deadlock or
   * a serialization failure is retried up to three times, so `run` must have no side effects other than on rows.
   */
  transaction<T>(run: (tx: Tx) => Promise<T>): Promise<T>
  /** The process's dedicated connection, outside the pool. Closed until a wake is created from it. */
  session: Session
  outages: OutageLog
  /** For commands of the CLI and tests: loading it takes up to 70 MB, so nothing that serves requests or runs jobs may use it. */
  prismaClient(): Promise<PrismaClient>
  /** Calls back for each statement sent; for tests that count statements. Returns a function that unsubscribes. */
  onStatement(listener: (text: string) => void): () => void
  close(): Promise<void>
}

export type DbOptions = {
  url: string
  poolSize: number
  /** Logger for outages. */
  log?: Pick<Logger, 'error' | 'warn'>
  /** Maximum wait for a pool connection, in milliseconds. */
  waitMs?: number
}

export function createDb({ url, poolSize, log = silence, waitMs = 8_000 }: DbOptions): Db {
  const listeners = new Set<(text: string) => void>()
  const onStatement = (text: string) => {
    for (const listener of listeners) listener(text)
  }
  const outages = createOutageLog(log)
  const onError = (error: unknown) => void outages.note(namingOutage(error))
  const session = createSession({ url, outages })
  const { pool, close } = createPool({ url, size: poolSize, waitMs, session, onStatement, onError })
  let client: Promise<PrismaClient> | undefined
  return {
    [route]: throughPool(pool),
    pool,
    session,
    outages,
    async transaction(run) {
      for (let left = maxReruns; ; left--) {
        try {
          return await inTransaction({ pool, timeoutMs: 15_000 }, run)
        } catch (error) {
          if (left === 0 || !isGivenUp(error)) throw error
        }
      }
    },
    prismaClient() {
      client ??= import('./prisma.ts').then(({ createPrismaClient }) => createPrismaClient(pool))
      return client
    },
    onStatement(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      await session.close()
      await (await client)?.$disconnect()
      await close()
      outages.close()
    },
  }
}

const maxReruns = 3
const silence = { error() {}, warn() {} }

/**
 * Rows of a query, with column names in camel case: `select s.* from web_service s` returns WebService rows. If `build` is given, it creates
 * each row from the values of its columns instead.
 */
export async function rows<Row>(tx: Tx, { text, values }: Sql, build?: Build<Row>): Promise<Row[]> {
  return (await tx[route].send({ text, values, build })).rows as Row[]
}

/** The row with a unique key, or null. See `Route.lookUp`. */
export async function lookUp<Row>(tx: Tx, { text, values }: Sql, build?: Build<Row>): Promise<Row | null> {
  return ((await tx[route].lookUp({ text, values, build })).rows[0] as Row | undefined) ?? null
}

/** The first row, or null. */
export async function row<Row>(tx: Tx, query: Sql): Promise<Row | null> {
  return (await rows<Row>(tx, query))[0] ?? null
}

/**
 * The row of a transaction's statement that always returns one, to be awaited after the commit: the statement then travels with what follows
 * it. An error of it rolls the transaction back, so it need not be handled here.
 */
export function rowSoon<Row>(tx: Tx, query: Sql): Promise<Row> {
  const found = row<Row>(tx, query).then((first) => {
    if (first === null) throw new Error('a statement that always returns a row returned none')
    return first
  })
  found.catch(() => {})
  return found
}

/** Runs a statement and returns the number of rows affected. */
export const run = async (tx: Tx, query: Sql): Promise<number> => (await tx[route].send(query)).count

/** Runs a statement of a transaction together with its next one or its commit. An error of it rolls the transaction back. */
export const defer = (tx: Tx, query: Sql): void => tx[route].defer(query)

/** The constraint that a failed write violated, or null for any other error. */
export function violated(error: unknown): { kind: 'unique' | 'foreign_key' | 'check'; constraint: string } | null {
  const kinds: Record<string, 'unique' | 'foreign_key' | 'check'> = {
    '23505': 'unique',
    '23503': 'foreign_key',
    '23001': 'foreign_key',
    '23514': 'check',
  }
  if (!(error instanceof pg.DatabaseError)) return null
  const kind = kinds[error.code ?? '']
  return kind ? { kind, constraint: error.constraint ?? '' } : null
}

/** Whether the transaction failed for a reason that a retry may overcome: a deadlock, a write conflict, or a stale prepared statement. */
function isGivenUp(error: unknown): boolean {
  if (isStale(error)) return true
  return error instanceof pg.DatabaseError && ['40P01', '40001'].includes(error.code ?? '')
}
