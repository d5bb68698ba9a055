/**
 * Wake-ups between loops, subscribers and processes. A wake-up carries a topic and nothing else: whoever is woken reads the
 * rows, so a lost one costs a poll interval and never a fact. Topics are gathered for a few milliseconds and sent in one
 * NOTIFY outside any transaction, because a NOTIFY inside a commit takes a lock of the whole cluster.
 */
import { randomUUID } from 'node:crypto'
import pg from 'pg'

export type Wake = {
  /** Wakes listeners of these topics, here at once and in other processes soon. Never throws. */
  notify(...topics: string[]): void
  /** Calls back on each wake-up of the topic, and when a lost connection to other processes was made again. */
  on(topic: string, listener: () => void): () => void
  /** Resolves at the next wake-up of the topic, after `timeoutMs`, or on abort. */
  next(topic: string, timeoutMs: number, signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

const channel = 'quayside'
const gatherMs = 10
const payloadBytes = 7_000

export async function createWake({ url, onError }: { url: string; onError: (error: Error) => void }): Promise<Wake> {
  const origin = randomUUID()
  const listeners = new Map<string, Set<() => void>>()
  const pending = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let client: pg.Client | undefined
  let flushed = Promise.resolve()
  let closed = false
  let reconnect: NodeJS.Timeout | undefined

  const dispatch = (topic: string) => {
    for (const listener of [...(listeners.get(topic) ?? [])]) listener()
  }

  /** One after the other: a connection takes one statement at a time. */
  const flush = () => {
    timer = undefined
    const topics = [...pending]
    pending.clear()
    flushed = flushed.then(async () => {
      for (const payload of payloads(origin, topics)) {
        await client?.query('select pg_notify($1, $2)', [channel, payload]).catch(onError)
      }
    })
    return flushed
  }

  const connect = async () => {
    const next = new pg.Client({ connectionString: url, application_name: 'quayside wake' })
    next.on('error', onError)
    next.on('end', () => {
      if (client === next) client = undefined
      if (!closed) reconnect = setTimeout(() => void connect().catch(retry), 500)
    })
    next.on('notification', ({ payload = '' }) => {
      const [sender, ...topics] = payload.split('\n')
      if (sender !== origin) for (const topic of topics) dispatch(topic)
    })
    await next.connect()
    await next.query(`listen ${channel}`)
    if (closed) return void (await next.end())
    client = next
    for (const topic of listeners.keys()) dispatch(topic)
  }
  const retry = (error: Error) => {
    onError(error)
    if (!closed) reconnect = setTimeout(() => void connect().catch(retry), 1_000)
  }
  await connect()

  const on = (topic: string, listener: () => void) => {
    const set = listeners.get(topic) ?? new Set()
    listeners.set(topic, set.add(listener))
    return () => {
      set.delete(listener)
      if (set.size === 0 && listeners.get(topic) === set) listeners.delete(topic)
    }
  }

  return {
    notify(...topics) {
      for (const topic of topics) {
        pending.add(topic)
        queueMicrotask(() => dispatch(topic))
      }
      if (!closed) timer ??= setTimeout(flush, gatherMs)
    },
    on,
    next: (topic, timeoutMs, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve()
        const end = () => {
          off()
          clearTimeout(limit)
          signal?.removeEventListener('abort', end)
          resolve()
        }
        const off = on(topic, end)
        const limit = setTimeout(end, timeoutMs)
        signal?.addEventListener('abort', end, { once: true })
      }),
    async close() {
      closed = true
      clearTimeout(timer)
      clearTimeout(reconnect)
      await flush()
      await client?.end()
    },
  }
}

function* payloads(origin: string, topics: string[]): Generator<string> {
  let payload = origin
  for (const topic of topics) {
    if (payload.length + topic.length + 1 > payloadBytes) {
      yield payload
      payload = origin
    }
    payload += `\n${topic}`
  }
  if (payload !== origin) yield payload
}
