/** Whether servers answer, and their metrics. A server is asked at most once in a few seconds, whoever wants to know. */
import type { RedisMetrics } from '../../domain/resources/redis/ports.ts'
import { onConnection, parseInfo, Refusal } from './connection.ts'
import type { Launched, ServerStore } from './store.ts'

/** `loading`: it reads its data and serves nobody yet. */
export type Health = { state: 'ready' | 'loading' | 'unknown'; silentMs: number }

export type HealthWatch = {
  /** The health of a running server. Waits for its answer for a moment only. */
  check(id: string, server: Launched): Promise<Health>
  measure(id: string, server: Launched): Promise<RedisMetrics | null>
  forget(id: string): void
}

type Watched = {
  process: string
  state: Health['state']
  /** Time of the last answer, or of the first question. */
  heardAt: number
  askedAt: number
  asking: Promise<void> | null
  metrics: { at: number; answer: Promise<RedisMetrics | null> } | null
}

/** A server that is not ready is asked with every check. */
const askEveryMs = 5_000
const patienceMs = 250
const measureEveryMs = 3_000

export function createHealthWatch(store: ServerStore): HealthWatch {
  const watched = new Map<string, Watched>()

  function watch(id: string, { process }: Launched): Watched {
    const name = `${process.pid} ${process.startTime}`
    const known = watched.get(id)
    if (known?.process === name) return known
    const now = performance.now()
    const fresh: Watched = { process: name, state: 'unknown', heardAt: now, askedAt: now, asking: null, metrics: null }
    watched.set(id, fresh)
    return fresh
  }

  async function ask(id: string, { port }: Launched, about: Watched): Promise<void> {
    about.askedAt = performance.now()
    try {
      await onConnection(port, await store.platformPassword(id), (client) => client.ping())
      about.state = 'ready'
    } catch (error) {
      about.state = stateShownBy(error)
    }
    if (about.state !== 'unknown') about.heardAt = performance.now()
    await store.limitLog(id).catch(() => undefined)
  }

  return {
    async check(id, server) {
      const about = watch(id, server)
      if (about.asking === null && (about.state !== 'ready' || performance.now() - about.askedAt > askEveryMs)) {
        about.asking = ask(id, server, about).finally(() => {
          about.asking = null
        })
      }
      if (about.asking !== null) await atMost(patienceMs, about.asking)
      return { state: about.state, silentMs: about.state === 'unknown' ? performance.now() - about.heardAt : 0 }
    },
    measure(id, server) {
      const about = watch(id, server)
      const now = performance.now()
      if (about.metrics === null || now - about.metrics.at > measureEveryMs)
        about.metrics = { at: now, answer: measure(store, id, server).catch(() => null) }
      return about.metrics.answer
    },
    forget: (id) => void watched.delete(id),
  }
}

/** A server that is busy with a script, or has as many connections as it may have, works. */
function stateShownBy(error: unknown): Health['state'] {
  if (!(error instanceof Refusal)) return 'unknown'
  if (error.message.startsWith('LOADING')) return 'loading'
  return /^(BUSY|ERR max number of clients)/.test(error.message) ? 'ready' : 'unknown'
}

async function measure(store: ServerStore, id: string, { port }: Launched): Promise<RedisMetrics> {
  const info = parseInfo(await onConnection(port, await store.platformPassword(id), (client) => client.info()))
  const number = (name: string) => Number(info.get(name) ?? 0)
  const keys = [...info].filter(([name]) => /^db\d+$/.test(name)).map(([, text]) => Number(/^keys=(\d+)/.exec(text)?.[1] ?? 0))
  return {
    usedMemoryBytes: number('used_memory'),
    connectedClients: Math.max(0, number('connected_clients') - 1),
    keyCount: keys.reduce((sum, count) => sum + count, 0),
  }
}

async function atMost(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([
    work,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    }),
  ])
  clearTimeout(timer)
}
