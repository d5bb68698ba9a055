/**
 * The one connection by which a process hears notifications and knows whether the database is there. It is asked something every few
 * seconds, so that one that is only half open is noticed, and made anew by one loop with one timer. It isn't of the pool: it answers
 * when the pool is busy.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import pg from 'pg'
import { createBackoff } from './backoff.ts'
import { connectionOutage, DatabaseOutage, namingOutage } from './outage.ts'
import type { OutageLog } from './outage-log.ts'

export type Session = {
  /** Connects, and keeps it so until `close`. Throws when it can't the first time. */
  open(): Promise<void>
  /** Why there is no connection, once making one anew has failed; null while there is one. */
  outage(): DatabaseOutage | null
  /** For how long there was a connection without a break; from the first one on without end. */
  steadyForMs(): number
  /** Asks by this connection; throws DatabaseOutage when no answer comes within `withinMs`. A missing answer is looked into at once. */
  ask<Row extends pg.QueryResultRow>(text: string, values?: unknown[], withinMs?: number): Promise<Row[]>
  /** Whether the database knows this session's backend by the number that the connection was given: no pooler stands between. */
  knowsBackends(): boolean
  onNotification(channel: string, listener: (payload: string) => void): void
  onLost(listener: (outage: DatabaseOutage) => void): void
  /** Called when a connection was made, also the first one. */
  onConnected(listener: () => void): void
  close(): Promise<void>
}

type Query = (text: string, values?: unknown[]) => Promise<pg.QueryResult>
type Live = { client: pg.Client; query: Query }

export const connectWithinMs = 3_000
const pingEveryMs = 2_000
const pongWithinMs = 2_000

export function createSession({ url, outages }: { url: string; outages: OutageLog }): Session {
  const listeners = new Map<string, (payload: string) => void>()
  const lostListeners: ((outage: DatabaseOutage) => void)[] = []
  const connectedListeners: (() => void)[] = []
  let live: Live | undefined
  let outage: DatabaseOutage | null = null
  let isKnown = false
  let connectedAt = Number.NEGATIVE_INFINITY
  let isClosing = false
  let keeping: Promise<void> = Promise.resolve()
  /** Ends the present wait: for the next ping, or for the next try to connect. */
  let hurry = () => {}

  const rest = (ms: number) =>
    new Promise<void>((resolve) => {
      if (isClosing) return resolve()
      const timer = setTimeout(resolve, ms)
      hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const connect = async (): Promise<Live> => {
    const next = new pg.Client({
      connectionString: url,
      application_name: 'quayside wake',
      ...keepAlive,
      connectionTimeoutMillis: connectWithinMs,
    })
    next.on('error', () => {})
    next.on('notification', ({ channel, payload = '' }) => listeners.get(channel)?.(payload))
    try {
      await next.connect()
      const listens = [...listeners.keys()].map((channel) => `listen ${pg.escapeIdentifier(channel)}`)
      const ready = (async () => {
        await next.query(sessionSettings({ idleSeconds: 30 }))
        for (const listen of listens) await next.query(listen)
        const { rows } = await next.query<{ pid: number }>('select pg_backend_pid() as pid')
        isKnown = rows[0]?.pid === (next as pg.Client & { processID: number | null }).processID
      })()
      await answered(ready, connectWithinMs)
      return { client: next, query: oneByOne(next) }
    } catch (error) {
      drop(next)
      throw connectionOutage(error)
    }
  }

  const lose = (reason: DatabaseOutage) => {
    const isNews = outage === null
    outage = reason
    outages.lost(reason)
    if (isNews) for (const listener of lostListeners) listener(reason)
  }

  const connectAgain = async (): Promise<Live | null> => {
    const backoff = createBackoff()
    while (!isClosing) {
      try {
        return await connect()
      } catch (error) {
        lose(error as DatabaseOutage)
        await rest(backoff.next())
      }
    }
    return null
  }

  const begin = (made: Live) => {
    live = made
    if (connectedAt === Number.POSITIVE_INFINITY) connectedAt = performance.now()
    outage = null
    outages.restored()
    for (const listener of connectedListeners) queueMicrotask(listener)
  }

  /** Resolves when the connection is no more, or doesn't answer. */
  const watch = async ({ client, query }: Live): Promise<DatabaseOutage | null> => {
    let isEnded = false
    client.once('end', () => {
      isEnded = true
      hurry()
    })
    for (;;) {
      await rest(pingEveryMs)
      if (isEnded || isClosing) return null
      try {
        await answered(query('select 1'), pongWithinMs)
      } catch (error) {
        return isEnded ? null : connectionOutage(error)
      }
    }
  }

  const keep = async (first: Live) => {
    for (let present: Live | null = first; present; present = await connectAgain()) {
      begin(present)
      const failure = await watch(present)
      live = undefined
      if (isClosing) return end(present.client)
      drop(present.client)
      if (failure) lose(failure)
      connectedAt = Number.POSITIVE_INFINITY
    }
  }

  return {
    async open() {
      keeping = keep(await connect())
    },
    outage: () => outage,
    steadyForMs: () => performance.now() - connectedAt,
    knowsBackends: () => live !== undefined && isKnown,
    async ask<Row extends pg.QueryResultRow>(text: string, values: unknown[] = [], withinMs = pongWithinMs) {
      if (!live) throw outage ?? new DatabaseOutage('the connection is being made anew')
      try {
        const { rows } = await answered(live.query(text, values), withinMs)
        return rows as Row[]
      } catch (error) {
        const named = namingOutage(error)
        if (named instanceof DatabaseOutage) hurry()
        throw named
      }
    },
    onNotification: (channel, listener) => void listeners.set(channel, listener),
    onLost: (listener) => void lostListeners.push(listener),
    onConnected: (listener) => void connectedListeners.push(listener),
    async close() {
      isClosing = true
      hurry()
      await keeping
    },
  }
}

/** A connection takes one statement at a time. */
function oneByOne(client: pg.Client): Query {
  let last: Promise<unknown> = Promise.resolve()
  return (text, values) => {
    const next = last.then(() => client.query(text, values))
    last = next.catch(() => {})
    return next
  }
}

/** Dead peers are noticed by the kernel too. */
export const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 }

/**
 * What the server is to do about a session whose client is gone without a word: it ends the session, gives up what it runs, and lets
 * go of the locks. A server that doesn't know a setting goes without it.
 */
export const sessionSettings = ({ idleSeconds }: { idleSeconds: number }): string => {
  const settings = {
    idle_session_timeout: `${idleSeconds}s`,
    idle_in_transaction_session_timeout: '10s',
    client_connection_check_interval: '5s',
    tcp_keepalives_idle: '15',
    tcp_keepalives_interval: '5',
    tcp_keepalives_count: '3',
  }
  const values = Object.entries(settings).map(([name, value]) => `('${name}', '${value}')`)
  return `select set_config(w.name, w.value, false) from (values ${values.join(', ')}) as w(name, value) join pg_settings s on s.name = w.name`
}

/** Lets go of a connection without waiting for the other side. */
export function drop(client: pg.Client): void {
  void client.end().catch(() => {})
  client.connection.stream.destroy()
}

/** Says goodbye, where somebody listens. */
async function end(client: pg.Client): Promise<void> {
  await answered(client.end(), 500).catch(() => {})
  client.connection.stream.destroy()
}

/** The answer, or DatabaseOutage when there is none in time. An answer that lay unread while this process was held up counts. */
export function answered<T>(promise: Promise<T>, withinMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(async () => {
      await nextTurn()
      await nextTurn()
      reject(new DatabaseOutage('no answer in time', { isSilence: true }))
    }, withinMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
