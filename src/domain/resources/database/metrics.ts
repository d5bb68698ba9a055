/** Metrics of running databases. Each is read from its server at most once in a few seconds, whoever asks. */
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
const cacheMost = 1_000
/** Databases that are read at the same time. */
const concurrency = 8

type Reading = { atMs: number; transactions: number | null; metrics: Promise<Metrics | null> }

const cacheOf = perApp(() => ({ readings: new Map<string, Reading>(), running: 0, waiting: [] as (() => void)[] }))

/** Metrics of many databases, in order. Null for one that is not running or does not answer. */
export async function metricsOf(app: App, ids: readonly string[]): Promise<(Metrics | null)[]> {
  const { readings } = cacheOf(app)
  const now = app.clock.elapsedMs()
  const due = ids.filter((id) => !((readings.get(id)?.atMs ?? Number.NEGATIVE_INFINITY) > now - keptMs))
  const found = due.length
    ? await rows<Database>(app.db, sql`select * from database where id = any(${due}::uuid[]) and status = 'RUNNING'`)
    : []
  for (const database of found) if (due.includes(database.id)) begin(app, database)
  for (const id of due) if (!found.some((database) => database.id === id)) readings.delete(id)
  return Promise.all(ids.map((id) => readings.get(id)?.metrics ?? null))
}

function begin(app: App, database: Database): void {
  const { readings } = cacheOf(app)
  const former = readings.get(database.id)
  const reading: Reading = { atMs: app.clock.elapsedMs(), transactions: null, metrics: Promise.resolve(null) }
  reading.metrics = limited(app, async () => {
    const { transactions, ...measured } = await databaseEngine.use(app).measure(await specOf({ app, tx: app.db }, database))
    reading.transactions = transactions
    return { ...measured, transactionsPerSecond: former ? rateOf(former, reading.atMs, transactions) : null }
  }).catch((error) => {
    app.log.warn({ err: error, database: database.id }, 'the metrics of a database could not be read')
    return null
  })
  readings.delete(database.id)
  readings.set(database.id, reading)
  if (readings.size > cacheMost) readings.delete(readings.keys().next().value!)
}

/** Null if the statistics were reset in between. */
function rateOf({ atMs, transactions }: Reading, nowMs: number, now: number): number | null {
  return transactions === null || now < transactions ? null : ((now - transactions) * 1_000) / (nowMs - atMs)
}

async function limited<T>(app: App, work: () => Promise<T>): Promise<T> {
  const limit = cacheOf(app)
  if (limit.running >= concurrency) await new Promise<void>((resolve) => limit.waiting.push(resolve))
  limit.running++
  try {
    return await work()
  } finally {
    limit.running--
    limit.waiting.shift()?.()
  }
}
