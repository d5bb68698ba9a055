/**
 * The only room that creates the Prisma client, uses `pg` and opens transactions. Rows are the model: concepts run SQL or Prisma calls
 * on the handles from here, each on its own tables. No domain rule belongs in this room.
 */
import pg from 'pg'
import type { Logger } from 'pino'
import { Prisma, PrismaClient } from '../../generated/prisma/client.ts'
import { namingOutage } from './outage.ts'
import { createOutageLog, type OutageLog } from './outage-log.ts'
import { createPool } from './pool.ts'
import { type Routed, route, throughPool } from './route.ts'
import { createSession, type Session } from './session.ts'
import { type Build, isStale } from './statement.ts'
import { inTransaction, JoiningAdapter } from './transaction.ts'

export { type Backoff, createBackoff } from './backoff.ts'
export { assignments, columnOf, newRow } from './column.ts'
export { DatabaseOutage, type OutageKind, outageOf } from './outage.ts'
export const { sql, join, raw, empty, DbNull } = Prisma
export type Sql = Prisma.Sql

/** The condition that at least one of several holds; false for none. */
export const anyOf = (conditions: readonly Sql[]): Sql => (conditions.length > 0 ? join(conditions, ' or ', '(', ')') : sql`false`)

export { Prisma }

/** The handle that commands write through and queries read through. */
export type Tx = Prisma.TransactionClient & Routed

export type Db = {
  prisma: PrismaClient & Routed
  /** For hot loops that need neither Prisma nor a multi-statement transaction. */
  pool: pg.Pool
  /**
   * Runs in one READ COMMITTED transaction; anything thrown rolls it back. A transaction that the database aborts because of a deadlock or
   * a serialization failure is retried up to three times, so `run` must have no side effects other than on rows.
   */
  transaction<T>(run: (tx: Tx) => Promise<T>): Promise<T>
  /** The process's dedicated connection, outside the pool. Closed until a wake is created from it. */
  session: Session
  outages: OutageLog
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
  const adapter = new JoiningAdapter(pool, { disposeExternalPool: false, onPoolError: onError, onConnectionError: onError })
  const client = createOnUse(() => new PrismaClient({ adapter }))
  const prisma = new Proxy({ [route]: throughPool(pool) } as unknown as PrismaClient & Routed, {
    get: (own, name) => (name === route ? own[route] : Reflect.get(client.use(), name)),
  })
  return {
    prisma,
    pool,
    session,
    outages,
    async transaction(run) {
      for (let left = maxReruns; ; left--) {
        try {
          return await inTransaction({ pool, prisma, timeoutMs: 15_000 }, run)
        } catch (error) {
          if (left === 0 || !isGivenUp(error)) throw error
        }
      }
    },
    onStatement(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      await session.close()
      await client.made()?.$disconnect()
      await close()
      outages.close()
    },
  }
}

/** Defers creating the Prisma client, which takes up to 70 MB and which SQL doesn't need, to its first use. */
function createOnUse<Made>(create: () => Made): { use(): Made; made(): Made | undefined } {
  let made: Made | undefined
  return { use: () => (made ??= create()), made: () => made }
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

/** The first row, or null. */
export async function row<Row>(tx: Tx, query: Sql): Promise<Row | null> {
  return (await rows<Row>(tx, query))[0] ?? null
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
  const cause = driverError(error)
  const kind = cause && kinds[cause.code]
  return kind ? { kind, constraint: cause.constraint } : null
}

/** Whether the transaction failed for a reason that a retry may overcome: a deadlock, a write conflict, or a stale prepared statement. */
function isGivenUp(error: unknown): boolean {
  if (isStale(error)) return true
  if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2034') return true
  return ['40P01', '40001'].includes(driverError(error)?.code ?? '')
}

/** Prisma nests the server's error under `meta.driverAdapterError`; pg throws it directly. */
function driverError(error: unknown): { code: string; constraint: string } | null {
  if (!(error instanceof Error)) return null
  if (error instanceof pg.DatabaseError) return { code: error.code ?? '', constraint: error.constraint ?? '' }
  const { meta } = error as Error & { meta?: { driverAdapterError?: { cause?: AdapterCause } } }
  const cause = meta?.driverAdapterError?.cause
  if (!cause?.originalCode) return null
  const named = /constraint "([^"]+)"/.exec(cause.originalMessage ?? '')
  return { code: cause.originalCode, constraint: named?.[1] ?? '' }
}

type AdapterCause = { originalCode?: string; originalMessage?: string }
