/**
 * Entry point of the GraphQL room for src/app.ts: /graphql over HTTP, server-sent events and WebSocket. The concepts' graphql.ts files
 * define the schema; the domain decides what an operation may do.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { GraphQLSchema } from 'graphql'
import type { App } from '../platform/work.ts'
import { type Authenticate, watchCredentials } from './credential-watch.ts'
import { mountHttp } from './http.ts'
import { createPerformer, type Outcome } from './perform.ts'
import { mountSockets } from './websocket.ts'

export type { Authenticate } from './credential-watch.ts'
export type { Outcome } from './perform.ts'

export type GraphqlOptions = {
  app: App
  schema: GraphQLSchema
  authenticate: Authenticate
  requestId: (request: IncomingMessage) => string
  maxPayloadBytes: number
  observe?: (outcome: Outcome) => void
  times?: Partial<Times>
}

export type Times = {
  /** Time within which a WebSocket must send connection_init, otherwise it is closed with 4408. */
  initTimeoutMs: number
  /** Interval at which the credentials of open streams are verified again; the `credentials` notification does so at once. */
  checkCredentialsEveryMs: number
  /** Interval of WebSocket pings. A peer that is silent for three of them is disconnected. */
  pingEveryMs: number
  /** Interval of comments in an event stream, which keep proxies and clients from timing out. */
  beatEveryMs: number
}

const defaultTimes: Times = { initTimeoutMs: 3_000, checkCredentialsEveryMs: 10_000, pingEveryMs: 15_000, beatEveryMs: 15_000 }

export type GraphqlDoor = {
  sockets(): number
  /** Ends event streams and sockets as SocketDoor.stop does. Other requests continue. */
  stop(cut: AbortSignal): Promise<void>
}

/** Mounts /graphql with all its transports on a server that isn't listening yet. */
export function mountGraphql(server: FastifyInstance, options: GraphqlOptions): GraphqlDoor {
  const { app, schema, authenticate, observe } = options
  const times = { ...defaultTimes, ...options.times }
  const performer = createPerformer({ app, schema, observe })
  const watch = watchCredentials(app, authenticate, times.checkCredentialsEveryMs)
  const stopping = new AbortController()
  mountHttp(server, { app, schema, performer, authenticate, watch, stopping: stopping.signal, beatEveryMs: times.beatEveryMs })
  const sockets = mountSockets(server.server, { ...options, ...times, performer, watch })
  return {
    sockets: sockets.count,
    async stop(cut) {
      stopping.abort()
      await sockets.stop(cut)
      watch.close()
    },
  }
}
