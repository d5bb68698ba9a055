/**
 * The GraphQL room's door for src/app.ts: everything that /graphql answers, over HTTP, server-sent events and WebSocket. What the
 * schema holds stands in the faces of the concepts; what an operation may do, in the domain.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { GraphQLSchema } from 'graphql'
import type { App } from '../platform/work.ts'
import { type Authenticate, watchCredentials } from './credential.ts'
import { mountHttp } from './http.ts'
import { createPerformer, type Outcome } from './perform.ts'
import { mountSockets } from './websocket.ts'

export type { Authenticate } from './credential.ts'
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
  /** How long a WebSocket may wait with its introduction (4408). */
  initTimeoutMs: number
  /** How often it is asked whether the credentials of open streams still hold; the wake-up `credentials` asks at once. */
  checkCredentialsEveryMs: number
  /** Pings of a WebSocket; a peer that is silent during three of them is gone. */
  pingEveryMs: number
  /** Comments in an event stream, which keep proxies and clients from taking silence for an end. */
  beatEveryMs: number
}

const defaultTimes: Times = { initTimeoutMs: 3_000, checkCredentialsEveryMs: 10_000, pingEveryMs: 15_000, beatEveryMs: 15_000 }

export type GraphqlDoor = {
  sockets(): number
  /** Ends event streams and sockets, as SocketDoor.stop says; requests without a stream run on. */
  stop(cut: AbortSignal): Promise<void>
}

/** Mounts /graphql with all its transports on a server that doesn't listen yet. */
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
