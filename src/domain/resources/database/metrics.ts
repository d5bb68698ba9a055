/** Metrics of running databases. Each is read from its server at most once in a few seconds, whoever asks. */
import DataLoader, { type CacheMap } from 'dataloader'
import type { Database } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { specOf } from './model.ts'
import { databaseEngine, type Measured } from './ports.ts'

export type Metrics = Omit<Measured, 'transactions'> & {
  /** Since the previous reading. Null for the first one. */
  transactionsPerSecond: number | null
}

const keptMs = 3_000
const keptMost = 1_000
/** Databases that are read at the same time. */
const concurrency = 8

/** Transactions of a database at its last reading. */
type Counter = { atMs: number; transactions: number }

type Memory = {
  loader: DataLoader<string, Metrics | null>
  counters: Map<string, Counter>
  running: number
  waiting: (() => void)[]
}

const memoryOf = perApp(
  (app): Memory => ({
    loader: new DataLoader((ids) => measureAll(app, ids), { cacheMap: recent(app) }),
    counters: new Map(),
    running: 0,
    waiting: [],
  }),
)

/** Metrics of many databases, in order. Null for one that is not running or does not answer. */
export const metricsOf = (app: App, ids: readonly string[]): Promise<(Metrics | null)[]> => {
  const { loader } = memoryOf(app)
  return Promise.all(ids.map((id) => loader.load(id)))
}

async function measureAll(app: App, ids: readonly string[]): Promise<(Metrics | null)[]> {
  const running = await rows<Database>(app.db, sql`select * from database where id = any(${[...ids]}::uuid[]) and status = 'RUNNING'`)
  return Promise.all(
    ids.map((id) => {
      const database = running.find((row) => row.id === id)
      if (database) return limited(app, () => measure(app, database))
      // It is read as soon as it is running.
      memoryOf(app).loader.clear(id)
      return null
    }),
  )
}

async function measure(app: App, database: Database): Promise<Metrics | null> {
  const { counters } = memoryOf(app)
  try {
    const { transactions, ...measured } = await databaseEngine.use(app).measure(await specOf({ app, tx: app.db }, database))
    const counter = { atMs: app.clock.elapsedMs(), transactions }
    const former = counters.get(database.id)
    keepLatest(counters, database.id, counter)
    return { ...measured, transactionsPerSecond: former ? rateOf(former, counter) : null }
  } catch (error) {
    app.log.warn({ err: error, database: database.id }, 'the metrics of a database could not be read')
    return null
  }
}

/** Null if the statistics were reset in between. */
const rateOf = (former: Counter, { atMs, transactions }: Counter): number | null =>
  transactions < former.transactions ? null : ((transactions - former.transactions) * 1_000) / (atMs - former.atMs)

/** What was read in the last few seconds. */
function recent(app: App): CacheMap<string, Promise<Metrics | null>> {
  const kept = new Map<string, { sinceMs: number; metrics: Promise<Metrics | null> }>()
  return {
    get(id) {
      const found = kept.get(id)
      return found && app.clock.elapsedMs() - found.sinceMs < keptMs ? found.metrics : undefined
    },
    set: (id, metrics) => keepLatest(kept, id, { sinceMs: app.clock.elapsedMs(), metrics }),
    delete: (id) => kept.delete(id),
    clear: () => kept.clear(),
  }
}

function keepLatest<Value>(map: Map<string, Value>, id: string, value: Value): void {
  map.delete(id)
  map.set(id, value)
  if (map.size > keptMost) map.delete(map.keys().next().value!)
}

async function limited<T>(app: App, work: () => Promise<T>): Promise<T> {
  const limit = memoryOf(app)
  if (limit.running >= concurrency) await new Promise<void>((resolve) => limit.waiting.push(resolve))
  limit.running++
  try {
    return await work()
  } finally {
    limit.running--
    limit.waiting.shift()?.()
  }
}
