/**
 * Wake-ups between loops, subscribers and processes. A wake-up carries a topic and nothing else: listeners read the rows, so a lost wake-up
 * costs at most a poll interval. Topics are collected for a few milliseconds and sent in one NOTIFY outside any transaction, because a
 * NOTIFY in a commit takes a cluster-wide lock.
 */
import { randomUUID } from 'node:crypto'
import type { Db } from './index.ts'
import { DatabaseOutage } from './outage.ts'
import type { Session } from './session.ts'

export type Wake = {
  /** Wakes the listeners of these topics, immediately in this process and soon in others. Never throws. */
  notify(...topics: string[]): void
  /** Calls back on each wake-up of the topic, and after a lost connection was restored. Returns a function that unsubscribes. */
  on(topic: string, listener: () => void): () => void
  /** Resolves at the next wake-up of the topic, after `timeoutMs`, or on abort. */
  next(topic: string, timeoutMs: number, signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

const channel = 'quayside'
const gatherMs = 10
const payloadBytes = 7_000
/** Maximum number of topics kept while they can't be sent. Beyond it, all listeners of other processes are woken. */
const keptTopics = 10_000
const everything = '*'

/** Opens the session of the database. Throws if it can't be opened. */
export async function createWake({ session }: Pick<Db, 'session'>): Promise<Wake> {
  const listeners = new Map<string, Set<() => void>>()
  const dispatch = (topic: string) => {
    for (const listener of [...(listeners.get(topic) ?? [])]) listener()
  }
  const dispatchAll = () => {
    for (const topic of [...listeners.keys()]) dispatch(topic)
  }
  const sender = createSender(session)

  session.onNotification(channel, (payload) => {
    const [origin, ...topics] = payload.split('\n')
    if (origin === sender.origin) return
    if (topics.includes(everything)) dispatchAll()
    else for (const topic of topics) dispatch(topic)
  })
  let wasConnected = false
  session.onConnected(() => {
    if (wasConnected) dispatchAll()
    wasConnected = true
    sender.send()
  })
  await session.open()

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
        sender.add(topic)
        queueMicrotask(() => dispatch(topic))
      }
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
      await sender.close()
      await session.close()
    },
  }
}

/** Sends topics to other processes, one statement at a time. Topics that could not be sent follow on the next connection. */
function createSender(session: Session) {
  const origin = randomUUID()
  let pending = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<void> | undefined
  let closed = false

  const add = (topic: string) => {
    if (closed) return
    if (pending.size >= keptTopics) pending = new Set([everything])
    if (!pending.has(everything)) pending.add(topic)
    timer ??= setTimeout(send, gatherMs)
  }
  const send = (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    sending ??= sendAll().finally(() => {
      sending = undefined
    })
    return sending
  }
  const sendAll = async () => {
    while (pending.size > 0) {
      const topics = [...pending]
      pending = new Set()
      try {
        for (const payload of payloads(origin, topics)) await session.ask('select pg_notify($1, $2)', [channel, payload])
      } catch (error) {
        if (!(error instanceof DatabaseOutage)) continue
        // The session logs the outage, and `onConnected` sends again.
        for (const topic of topics) add(topic)
        clearTimeout(timer)
        timer = undefined
        return
      }
    }
  }
  return {
    origin,
    add,
    send: () => void send(),
    async close() {
      closed = true
      await send()
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
