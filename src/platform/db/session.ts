/**
 * The connection on which a process receives notifications and detects whether the database is available. It is pinged every few seconds,
 * so that a half-open connection is noticed, and one loop with one timer reconnects it. It doesn't belong to the pool, so it is available
 * when the pool is busy.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import pg from 'pg'
import { createBackoff } from './backoff.ts'
import { connectionOutage, DatabaseOutage, namingOutage } from './outage.ts'
import type { OutageLog } from './outage-log.ts'

export type Session = {
  /** Connects, and reconnects until `close`. Throws if the first attempt fails. */
  open(): Promise<void>
  /** The reason of the current outage, set once reconnecting has failed; null otherwise. */
  outage(): DatabaseOutage | null
  /** Time since the last reconnection in milliseconds; infinite if the connection was never lost. */
  steadyForMs(): number
  /** Runs a query on this connection. Throws DatabaseOutage if there is no response within `withinMs`, and then checks the connection at once. */
  ask<Row extends pg.QueryResultRow>(text: string, values?: unknown[], withinMs?: number): Promise<Row[]>
  /** Whether the process ID that the connection received is the backend's, that is, there is no pooler in between. */
  knowsBackends(): boolean
  onNotification(channel: string, listener: (payload: string) => void): void
  onLost(listener: (outage: DatabaseOutage) => void): void
  /** Called after each connect, including the first. */
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
  /** Ends the current wait for the next ping or the next connection attempt. */
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

  /** Resolves when the connection has ended or stops answering. */
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

/** Serializes statements: a connection runs one at a time. */
function oneByOne(client: pg.Client): Query {
  let last: Promise<unknown> = Promise.resolve()
  return (text, values) => {
    const next = last.then(() => client.query(text, values))
    last = next.catch(() => {})
    return next
  }
}

/** Lets the kernel detect dead peers too. */
export const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 }

/**
 * Settings that make the server end a session whose client has vanished, abort its statement and release its locks. A setting that the
 * server doesn't know is skipped.
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

/** Destroys a connection without waiting for the other side. */
export function drop(client: pg.Client): void {
  void client.end().catch(() => {})
  client.connection.stream.destroy()
}

/** Closes a connection gracefully if the server answers soon. */
export async function end(client: pg.Client): Promise<void> {
  await answered(client.end(), 500).catch(() => {})
  client.connection.stream.destroy()
}

/** Rejects with DatabaseOutage if there is no response in time. An answer that arrived while this process was busy still counts. */
export function answered<T>(promise: Promise<T>, withinMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(async () => {
      await nextTurn()
      await nextTurn()
      reject(new DatabaseOutage('no response in time', { isSilence: true }))
    }, withinMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
