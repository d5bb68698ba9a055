/**
 * The pool that everything but notifications goes through, with its limits in bad times: while the database is known to be away nobody
 * waits for it, a connection is made within seconds or not at all, and a statement whose backend is gone is given up.
 */
import pg from 'pg'
import { connectionOutage, type DatabaseOutage, namingOutage } from './outage.ts'
import { answered, connectWithinMs, drop, keepAlive, type Session, sessionSettings } from './session.ts'
import { watchStatements } from './statement-watch.ts'

export type PoolOptions = {
  url: string
  size: number
  /** How long somebody waits for a connection to become free, at most. */
  waitMs: number
  session: Session
  onStatement: (query: unknown) => void
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
        drop(client as unknown as pg.Client)
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
      // One that is half open never says goodbye.
      await answered(pool.end(), goodbyeWithinMs).catch(() => dropAll(all))
    },
  }
}

/** What was idle may be half open, like one that was found dead. The pool removes a client whose connection ends by itself. */
function dropAll(clients: Set<pg.PoolClient>): void {
  for (const client of clients) (client as unknown as pg.Client).connection.stream.destroy()
}

type Callback = (error?: unknown, ...rest: unknown[]) => void

/** Each statement is told, watched, and fails with the project's own word for an outage. */
function guardStatements(client: pg.PoolClient, watch: ReturnType<typeof watchStatements>, onStatement: (query: unknown) => void): void {
  const query = client.query as (...args: unknown[]) => unknown
  client.query = ((...args: unknown[]) => {
    onStatement(args[0])
    const ended = watch.begin(client as unknown as pg.Client)
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
 * While the database is away, only what is still connected is handed out. Whoever waits when it goes is told so at once; what the pool then
 * has for them goes back.
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

/** A statement of its own fails by its client's error, before its own error comes. */
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
