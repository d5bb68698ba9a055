/**
 * /graphql over WebSocket, subprotocol graphql-transport-ws. graphql-ws implements the protocol, ws the frames, and perform.ts runs the
 * operations. This file manages the sockets: authentication, revocation, backpressure and shutdown.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ExecutionArgs, GraphQLError } from 'graphql'
import { CloseCode, type Context, handleProtocols, makeServer, type ServerOptions, type SubscribePayload } from 'graphql-ws'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Caller } from '../platform/access.ts'
import { credentialOfSocket } from '../platform/credential.ts'
import { errors } from '../platform/errors.ts'
import { forwardedOf, type Origin, onBehalfOf, trustOf } from '../platform/forwarded.ts'
import { refusalOfJson } from '../platform/json-body.ts'
import { refusalOf, withinDeadline } from '../platform/outage.ts'
import { isFromOwnPage } from '../platform/own-origin.ts'
import type { App } from '../platform/work.ts'
import { type Authenticate, type CredentialWatch, presentCaller } from './credential-watch.ts'
import { refusal } from './error.ts'
import { type Answers, bytesOf, isPrepared, isStream, isSubscription, type Performer, type Prepared } from './perform.ts'

export type SocketDoorOptions = {
  app: App
  performer: Performer
  authenticate: Authenticate
  watch: CredentialWatch
  /** Request ID of a socket in logs. With a number appended, it is the `extensions.requestId` of each of its operations. */
  requestId: (request: IncomingMessage) => string
  maxPayloadBytes: number
  /** Time within which a client must send connection_init, otherwise its socket is closed with 4408. */
  initTimeoutMs: number
  pingEveryMs: number
}

export type SocketDoor = {
  /** Number of open sockets. */
  count(): number
  /**
   * Refuses new sockets and operations. A socket without a running query or mutation is closed at once with 1001, any other when they have
   * been answered or when `cut` aborts. Resolves when all sockets are closed.
   */
  stop(cut: AbortSignal): Promise<void>
}

/** A peer that sends nothing during this many pings is disconnected. Several, because a slow reader answers pings late. */
const silentPings = 3
/** Size of unread output beyond which the client's input is no longer read. */
const unreadBytes = 1024 * 1024
/** Time within which a peer must answer a close frame. */
const closeGraceMs = 1_000
const operationsAtOnce = 1_000
const tryAgainLater = 1013

/** An open socket. `closed` aborts as soon as it starts to close, which aborts its operations. */
type Socket = {
  ws: WebSocket
  request: IncomingMessage
  requestId: string
  origin: Origin
  closed: AbortController
  caller: Caller | null
  operations: number
  /** Running queries and mutations by id, each with the controller that aborts it. */
  running: Map<string, AbortController>
  /** Whether the client still waits for an operation, according to graphql-ws. */
  isWanted: (id: string) => boolean
  onQuiet: (() => void) | null
  close(code: number, reason: string): void
}

type Params = Record<string, unknown>
type SocketContext = Context<Params, { socket: Socket }>
/** Passed by graphql-ws from `onSubscribe` to `execute` and `subscribe`. */
type Args = ExecutionArgs & { id: string; prepared: Prepared; socket: Socket; signal: AbortSignal }

/** Handles the upgrade requests of a server. Paths other than /graphql are refused. */
export function mountSockets(server: Server, options: SocketDoorOptions): SocketDoor {
  const { app, maxPayloadBytes } = options
  const sockets = new Set<Socket>()
  let stopping = false
  const protocol = makeServer<Params, { socket: Socket }>(protocolOf(options, () => stopping))
  const acceptor = new WebSocketServer({
    noServer: true,
    maxPayload: maxPayloadBytes,
    handleProtocols: chooseProtocol,
    clientTracking: false,
  })

  server.on('upgrade', (request: IncomingMessage, duplex: Duplex, head: Buffer) => {
    duplex.on('error', () => duplex.destroy())
    const path = (request.url ?? '').split('?', 1)[0]
    if (path !== '/graphql' && path !== '/graphql/') return refuseUpgrade(duplex, '404 Not Found')
    if (stopping) return refuseUpgrade(duplex, '503 Service Unavailable')
    acceptor.handleUpgrade(request, duplex, head, (ws) => open(ws, request))
  })

  const trust = trustOf(app.settings.TRUST_PROXY)
  const originOf = (request: IncomingMessage): Origin => ({
    address: forwardedOf(request, trust).client,
    userAgent: request.headers['user-agent'] ?? null,
    door: 'websocket',
  })
  const open = (ws: WebSocket, request: IncomingMessage) => {
    const socket = socketOf(ws, request, options.requestId(request), originOf(request))
    sockets.add(socket)
    const beat = keepAlive(ws, options.pingEveryMs)
    const gone = protocol.opened(connectionOf(socket, app), { socket })
    ws.on('error', (err) => app.log.debug({ err, requestId: socket.requestId }, 'a WebSocket connection failed'))
    ws.once('close', (code, reason) => {
      clearInterval(beat)
      sockets.delete(socket)
      socket.closed.abort()
      void gone(code, String(reason))
    })
    if (stopping) socket.close(1001, 'Going away')
  }

  return {
    count: () => sockets.size,
    async stop(cut) {
      stopping = true
      await Promise.all([...sockets].map((socket) => stopSocket(socket, cut)))
    },
  }
}

function socketOf(ws: WebSocket, request: IncomingMessage, requestId: string, origin: Origin): Socket {
  const closed = new AbortController()
  const close = (code: number, reason: string) => {
    ws.close(code, reason)
    closed.abort()
    const cut = setTimeout(() => ws.terminate(), closeGraceMs)
    ws.once('close', () => clearTimeout(cut))
  }
  const running = new Map<string, AbortController>()
  closed.signal.addEventListener('abort', () => running.forEach((ended) => void ended.abort()), { once: true })
  return { ws, request, requestId, origin, closed, caller: null, operations: 0, running, isWanted: () => true, onQuiet: null, close }
}

/** Sends a message. Resolves when the kernel has accepted it, so that no answer is computed ahead of the reader. */
const send = ({ ws, closed }: Socket, ...fragments: (string | Buffer)[]): Promise<void> =>
  new Promise((resolve) => {
    if (ws.readyState !== ws.OPEN) {
      closed.abort()
      return resolve()
    }
    const last = fragments.pop()!
    for (const fragment of fragments) ws.send(fragment, { binary: false, fin: false })
    ws.send(last, { binary: false }, () => {
      if (ws.isPaused && ws.bufferedAmount <= unreadBytes) ws.resume()
      resolve()
    })
    if (ws.bufferedAmount > unreadBytes) ws.pause()
  })

/** Size from which sockets share the memory of a payload, as a fragment of their message. Copying smaller ones is faster. */
const sharedBytes = 16 * 1024

/** A subscription that sends its answers itself and yields none, because graphql-ws would serialize them for each socket. */
function sending(answers: Answers, { id, socket }: Args): AsyncIterableIterator<never, void> {
  const start = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`)
  const sendNext = (payload: Buffer) =>
    payload.length < sharedBytes ? send(socket, Buffer.concat([start, payload, end])) : send(socket, start, payload, end)
  return {
    async next() {
      for await (const answer of answers) await sendNext(bytesOf(answer))
      return { done: true, value: undefined }
    },
    async return() {
      await answers.return()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

const end = Buffer.from('}')

/** Adapts a socket for graphql-ws. */
const connectionOf = (socket: Socket, app: App) => ({
  protocol: socket.ws.protocol,
  close: socket.close,
  send: (text: string) => send(socket, text),
  onMessage(take: (text: string) => Promise<void>) {
    socket.ws.on('message', (data, isBinary) => {
      // Messages are JSON text. ws checks text frames for valid UTF-8, but not binary ones.
      if (isBinary) return socket.close(CloseCode.BadRequest, 'A message must be a text frame')
      const refused = refusalOfJson(data as Buffer)
      if (refused) return socket.close(CloseCode.BadRequest, refused.message)
      onBehalfOf(socket.origin, () => take(String(data))).catch((error) => {
        // Clients retry after 1013, but not after 4500.
        const kind = refusalOf(app, error)?.kind
        if (kind === 'unavailable' || kind === 'rate_limited') return socket.close(tryAgainLater, 'Try again later')
        app.log.error({ err: error, requestId: socket.requestId }, 'a WebSocket message could not be handled')
        socket.close(CloseCode.InternalServerError, 'Internal server error')
      })
      endUnwanted(socket)
    })
  },
})

/** When the client completes an operation, graphql-ws only removes it from its list, so its work is aborted here. */
function endUnwanted({ running, isWanted }: Socket): void {
  for (const [id, ended] of running) if (!isWanted(id)) ended.abort()
}

function whenAborted(signal: AbortSignal, act: () => void): () => void {
  if (signal.aborted) queueMicrotask(act)
  else signal.addEventListener('abort', act, { once: true })
  return () => signal.removeEventListener('abort', act)
}

function protocolOf(
  { app, performer, authenticate, watch, initTimeoutMs }: SocketDoorOptions,
  stopping: () => boolean,
): ServerOptions<Params, { socket: Socket }> {
  const run = ({ prepared, socket, signal }: Args) =>
    performer.run(prepared, { caller: socket.caller!, requestId: prepared.requestId, whenGone: (act) => whenAborted(signal, act) })

  return {
    connectionInitWaitTimeout: initTimeoutMs,
    async onConnect({ extra: { socket }, connectionParams }: SocketContext) {
      const credential = credentialOfSocket(connectionParams, socket.request.headers)
      if (credential?.fromCookie && !isFromOwnPage(app, socket.request)) return false
      const caller = credential && (await withinDeadline(app, presentCaller(authenticate, credential)))
      if (credential === null || caller === null) return false
      socket.caller = caller
      const unfollow = watch.follow(credential, caller, () => socket.close(CloseCode.Forbidden, 'Forbidden'))
      socket.closed.signal.addEventListener('abort', unfollow, { once: true })
      if (socket.closed.signal.aborted) unfollow()
    },
    onSubscribe(
      { extra: { socket }, subscriptions }: SocketContext,
      id: string,
      payload: SubscribePayload,
    ): readonly GraphQLError[] | ExecutionArgs {
      const requestId = `${socket.requestId}-${++socket.operations}`
      if (stopping()) return [refusal(errors.unavailable({ text: 'The server is shutting down.' }), requestId)]
      if (Object.keys(subscriptions).length > operationsAtOnce) {
        return [
          refusal(
            errors.rate_limited({
              text: `At most ${operationsAtOnce} concurrent operations per socket are allowed.`,
              details: { limit: 'operationsPerSocket', maximum: operationsAtOnce, retryAfterSeconds: 1 },
            }),
            requestId,
          ),
        ]
      }
      const { query, operationName, variables } = payload
      const prepared = performer.prepare({ query, operationName, variables }, { caller: socket.caller!, requestId })
      if (!isPrepared(prepared)) return prepared.errors!
      const { document } = prepared
      const args: Omit<Args, 'schema'> = { document, operationName, id, prepared, socket, signal: socket.closed.signal }
      // graphql-ws ends a subscription by returning from its generator.
      if (!isSubscription(prepared)) {
        const ended = new AbortController()
        socket.running.set(id, ended)
        socket.isWanted = (id) => id in subscriptions
        if (socket.closed.signal.aborted) ended.abort()
        args.signal = ended.signal
      }
      return args as Args
    },
    execute: (args) => run(args as Args),
    async subscribe(args) {
      const outcome = await run(args as Args)
      return isStream(outcome) ? sending(outcome, args as Args) : outcome
    },
    onComplete({ extra: { socket } }: SocketContext, id: string) {
      socket.running.delete(id)
      if (socket.running.size === 0) socket.onQuiet?.()
    },
  }
}

function keepAlive(ws: WebSocket, pingEveryMs: number): NodeJS.Timeout {
  let silent = 0
  const heard = () => {
    silent = 0
  }
  ws.on('pong', heard).on('message', heard)
  return setInterval(() => {
    if (silent++ >= silentPings) ws.terminate()
    else ws.ping()
  }, pingEveryMs)
}

async function stopSocket(socket: Socket, cut: AbortSignal): Promise<void> {
  const { ws } = socket
  const gone = new Promise<void>((resolve) => {
    if (ws.readyState === ws.CLOSED) resolve()
    else ws.once('close', () => resolve())
  })
  if (socket.running.size > 0) {
    await new Promise<void>((resolve) => {
      socket.onQuiet = resolve
      ws.once('close', () => resolve())
      if (cut.aborted) resolve()
      else cut.addEventListener('abort', () => resolve(), { once: true })
    })
    // The last answer is only written after the onComplete hook.
    await nextTurn()
  }
  socket.close(1001, 'Going away')
  await gone
}

/** Our subprotocol, or else the first one offered: a client that gets none disconnects before it can read 4406. */
const chooseProtocol = (offered: Set<string>) => handleProtocols(offered) || (offered.values().next().value ?? false)

function refuseUpgrade(duplex: Duplex, status: string): void {
  duplex.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
