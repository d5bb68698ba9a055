/** What is measured on running servers, such as metrics. Each server is read at most once in a few seconds, whoever asks. */
import DataLoader, { type CacheMap } from 'dataloader'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'

export type ReadingKind<Row, Value> = {
  /** What the log calls a server. */
  noun: string
  /** Those of these servers that run. */
  running(app: App, ids: readonly string[]): Promise<Row[]>
  read(app: App, row: Row): Promise<Value>
}

const keptMs = 3_000
const keptMost = 1_000
/** Servers that are read at the same time. */
const concurrency = 8

type Memory<Value> = { loader: DataLoader<string, Value | null>; running: number; waiting: (() => void)[] }

/** Returns a function that reads many servers, in order. Null for one that is not running or does not answer. */
export function createReadings<Row extends { id: string }, Value>({ noun, running, read }: ReadingKind<Row, Value>) {
  const memoryOf = perApp(
    (app): Memory<Value> => ({ loader: new DataLoader((ids) => readAll(app, ids), { cacheMap: recent(app) }), running: 0, waiting: [] }),
  )

  async function readAll(app: App, ids: readonly string[]): Promise<(Value | null)[]> {
    const found = new Map((await running(app, ids)).map((row) => [row.id, row]))
    return Promise.all(
      ids.map((id) => {
        const row = found.get(id)
        if (row) return limited(memoryOf(app), () => readOne(app, row))
        // It is read as soon as it is running.
        memoryOf(app).loader.clear(id)
        return null
      }),
    )
  }

  async function readOne(app: App, row: Row): Promise<Value | null> {
    try {
      return await read(app, row)
    } catch (error) {
      app.log.warn({ err: error, [noun]: row.id }, `a ${noun} could not be measured`)
      return null
    }
  }

  return (app: App, ids: readonly string[]): Promise<(Value | null)[]> => {
    const { loader } = memoryOf(app)
    return Promise.all(ids.map((id) => loader.load(id)))
  }
}

/** What was read in the last few seconds. */
function recent<Value>(app: App): CacheMap<string, Promise<Value>> {
  const kept = new Map<string, { sinceMs: number; value: Promise<Value> }>()
  return {
    get(id) {
      const found = kept.get(id)
      return found && app.clock.elapsedMs() - found.sinceMs < keptMs ? found.value : undefined
    },
    set: (id, value) => keepLatest(kept, id, { sinceMs: app.clock.elapsedMs(), value }),
    delete: (id) => kept.delete(id),
    clear: () => kept.clear(),
  }
}

/** Sets a value of a map that keeps a limited number of values, those set last. */
export function keepLatest<Value>(map: Map<string, Value>, id: string, value: Value): void {
  map.delete(id)
  map.set(id, value)
  if (map.size > keptMost) map.delete(map.keys().next().value!)
}

async function limited<T>(limit: Pick<Memory<unknown>, 'running' | 'waiting'>, work: () => Promise<T>): Promise<T> {
  if (limit.running >= concurrency) await new Promise<void>((resolve) => limit.waiting.push(resolve))
  limit.running++
  try {
    return await work()
  } finally {
    limit.running--
    limit.waiting.shift()?.()
  }
}
