/**
 * The connection pool, used for everything but notifications, and its limits during an outage: nobody waits for a database that is known
 * to be down, connecting times out after seconds, and a statement whose backend is gone is abandoned.
 */
import pg from 'pg'
import { connectionOutage, type DatabaseOutage, namingOutage } from './outage.ts'
import { answered, connectWithinMs, drop, keepAlive, type Session, sessionSettings } from './session.ts'
import { watchStatements } from './statement-watch.ts'

export type PoolOptions = {
  url: string
  size: number
  /** Maximum wait for a free connection, in milliseconds. */
  waitMs: number
  session: Session
  onStatement: (text: string) => void
  onError: (error: Error) => void
}

const goodbyeWithinMs = 2_000

class Client extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super({ ...config, ...keepAlive, connectionTimeoutMillis: connectWithinMs })
  }
}

export function createPool({ url, size, waitMs, session, onStatement, onError }: PoolOptions): { pool: pg.Pool; close(): Promise<void> } {
  const pool = new pg.Pool({
    Client,
    connectionString: url,
    max: size,
    idleTimeoutMillis: 60_000,
    connectionTimeoutMillis: waitMs,
    application_name: 'quayside',
    onConnect: async (client: pg.ClientBase) => {
      try {
        await answered(client.query(sessionSettings({ idleSeconds: 300 })), connectWithinMs)
      } catch (error) {
        drop(client as pg.Client)
        throw error
      }
    },
  })
  const all = new Set<pg.PoolClient>()
  const idle = new Set<pg.PoolClient>()
  const watch = watchStatements(session, { onDead: () => dropAll(idle) })
  pool.on('error', onError)
  pool.on('acquire', (client) => idle.delete(client))
  pool.on('release', (_error, client) => idle.add(client))
  pool.on('remove', (client) => {
    idle.delete(client)
    all.delete(client)
  })
  pool.on('connect', (client) => {
    all.add(client)
    client.on('error', onError)
    guardStatements(client, watch, onStatement)
  })
  guardConnect(pool, session)
  guardQuery(pool)
  session.onLost((outage) => {
    if (outage.isSilence) dropAll(idle)
  })
  return {
    pool,
    async close() {
      watch.close()
      // A half-open connection never completes its close.
      await answered(pool.end(), goodbyeWithinMs).catch(() => dropAll(all))
    },
  }
}

/** Once one connection was found dead, the idle ones may be half open too. The pool removes a client whose connection has ended. */
function dropAll(clients: Set<pg.PoolClient>): void {
  for (const client of clients) (client as pg.Client).connection.stream.destroy()
}

/** The texts of a query as `pg` takes it, or of a batch. */
function textsOf(query: unknown): string[] {
  if (typeof query === 'string') return [query]
  const { text, texts } = query as { text?: string; texts?: string[] }
  return texts ?? [text ?? '']
}

type Callback = (error?: unknown, ...rest: unknown[]) => void

/** Reports each statement to `onStatement`, watches it, and turns connection errors into DatabaseOutage. */
function guardStatements(client: pg.PoolClient, watch: ReturnType<typeof watchStatements>, onStatement: (text: string) => void): void {
  const query = client.query as (...args: unknown[]) => unknown
  client.query = ((...args: unknown[]) => {
    for (const text of textsOf(args[0])) onStatement(text)
    const ended = watch.begin(client as pg.Client)
    const last = args.length - 1
    if (typeof args[last] === 'function') {
      const callback = args[last] as Callback
      args[last] = (error: unknown, ...rest: unknown[]) => {
        ended()
        callback(error ? namingOutage(error) : error, ...rest)
      }
      return Reflect.apply(query, client, args)
    }
    const result = Reflect.apply(query, client, args) as Promise<unknown>
    return result.then(
      (value) => {
        ended()
        return value
      },
      (error: unknown) => {
        ended()
        throw namingOutage(error)
      },
    )
  }) as typeof client.query
}

/**
 * During an outage only connections that still exist are handed out. Waiters are rejected as soon as the outage is known; a connection that
 * the pool acquires for them afterwards is returned to it.
 */
function guardConnect(pool: pg.Pool, session: Session): void {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>
  const waiting = new Set<(outage: DatabaseOutage) => void>()
  session.onLost((outage) => {
    if (pool.idleCount > 0 && !outage.isSilence) return
    for (const refuse of [...waiting]) refuse(outage)
  })
  const guarded = () =>
    new Promise<pg.PoolClient>((resolve, reject) => {
      const outage = session.outage()
      if (outage && pool.idleCount === 0) return reject(outage)
      const refuse = (reason: DatabaseOutage) => {
        waiting.delete(refuse)
        reject(reason)
      }
      waiting.add(refuse)
      connect().then(
        (client) => {
          if (waiting.delete(refuse)) resolve(client)
          else client.release()
        },
        (error) => {
          waiting.delete(refuse)
          reject(isEnding(error) ? error : connectionOutage(error))
        },
      )
    })
  pool.connect = ((callback?: (error: unknown, client?: pg.PoolClient, release?: pg.PoolClient['release']) => void) =>
    callback
      ? void guarded().then(
          (client) => callback(undefined, client, client.release),
          (error) => callback(error, undefined, () => {}),
        )
      : guarded()) as typeof pool.connect
}

/** `pool.query` may reject with the client's connection error rather than the statement's, so it is mapped here too. */
function guardQuery(pool: pg.Pool): void {
  const query = pool.query.bind(pool) as (...args: unknown[]) => unknown
  pool.query = ((...args: unknown[]) => {
    const last = args.length - 1
    const callback = args[last]
    if (typeof callback !== 'function')
      return (query(...args) as Promise<unknown>).catch((error: unknown) => Promise.reject(namingOutage(error)))
    args[last] = (error: unknown, ...rest: unknown[]) => callback(error ? namingOutage(error) : error, ...rest)
    return query(...args)
  }) as typeof pool.query
}

const isEnding = (error: unknown) => error instanceof Error && error.message.includes('after calling end on the pool')
