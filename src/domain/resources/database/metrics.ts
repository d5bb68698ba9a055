/** Metrics of running databases. */
import type { Database } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { perApp } from '../../../platform/per-app.ts'
import { specOf } from './model.ts'
import { databaseEngine, type Measured } from './ports.ts'
import { createReadings, keepLatest } from './readings.ts'

export type Metrics = Omit<Measured, 'transactions'> & {
  /** Since the previous reading. Null for the first one. */
  transactionsPerSecond: number | null
}

/** Transactions of a database at its last reading. */
type Counter = { atMs: number; transactions: number }

const countersOf = perApp(() => new Map<string, Counter>())

/** Metrics of many databases, in order. Null for one that is not running or does not answer. */
export const metricsOf = createReadings<Database, Metrics>({
  noun: 'database',
  running: (app, ids) => rows<Database>(app.db, sql`select * from database where id = any(${[...ids]}::uuid[]) and status = 'RUNNING'`),
  async read(app, database) {
    const { transactions, ...measured } = await databaseEngine.use(app).measure(await specOf({ app, tx: app.db }, database))
    const counters = countersOf(app)
    const counter = { atMs: app.clock.elapsedMs(), transactions }
    const former = counters.get(database.id)
    keepLatest(counters, database.id, counter)
    return { ...measured, transactionsPerSecond: former ? rateOf(former, counter) : null }
  },
})

/** Null if the statistics were reset in between. */
const rateOf = (former: Counter, { atMs, transactions }: Counter): number | null =>
  transactions < former.transactions ? null : ((transactions - former.transactions) * 1_000) / (atMs - former.atMs)
