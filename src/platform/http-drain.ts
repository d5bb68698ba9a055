/**
 * Drains an HTTP server without a failed request: the port is closed first, accepted requests are answered, and a keep-alive connection is
 * closed with its next response, or after it has been idle for a while.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pause } from './clock.ts'
import { stopListening } from './stop-listening.ts'

export type HttpDrain = {
  /**
   * Closes the port and resolves when every connection except upgraded ones is closed. When `cut` aborts, the remaining ones are destroyed.
   */
  drain(cut: AbortSignal): Promise<void>
  /**
   * Set while the port is being closed, and resolved when it is. The server must not start requests until then: clients that wait for a
   * response open no new connections, so there will be a moment at which none is pending.
   */
  readonly portClosing: Promise<void> | null
}

type Connection = {
  /** Response in progress. */
  response: ServerResponse | null
  idleSince: number
  /** Bytes received when it became idle; more means that a request has begun. */
  bytesRead: number
}

/**
 * Idle time after which a keep-alive connection is closed. A request that is sent at the moment of the close fails with a reset, and the
 * client can't know whether it was processed; a client that has been idle for this long is unlikely to send at just that moment.
 */
const quietMs = 1_000
const checkMs = 20
/** The port is closed once no connection has arrived for `quietMs`, or, after `withinMs`, at the next moment without a pending one. */
const portQuiet = { quietMs: 100, withinMs: 1_000 }

/** Call it before the server listens, so that every connection is tracked. */
export function followConnections(server: Server): HttpDrain {
  const connections = new Map<Socket, Connection>()
  let isDraining = false
  let portClosing: Promise<void> | null = null

  server.on('connection', (socket: Socket) => {
    connections.set(socket, { response: null, idleSince: performance.now(), bytesRead: 0 })
    socket.once('close', () => connections.delete(socket))
  })
  // Runs before the handlers, so that a response written at once already has `Connection: close`.
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(socket)
    if (!connection) return
    if (isDraining) response.shouldKeepAlive = false
    connection.response = response
    response.on('close', () => {
      if (connection.response === response) {
        connection.response = null
        connection.idleSince = performance.now()
      }
      connection.bytesRead = socket.bytesRead
    })
  })
  server.prependListener('upgrade', ({ socket }: IncomingMessage) => connections.delete(socket))

  return {
    get portClosing() {
      return portClosing
    },
    async drain(cut) {
      isDraining = true
      for (const { response } of connections.values()) if (response && !response.headersSent) response.shouldKeepAlive = false
      if (server.listening) {
        portClosing = stopListening(server, portQuiet).then(() => {})
        await portClosing
        portClosing = null
      }
      for (const begun = performance.now(); connections.size > 0 && !cut.aborted; await pause(checkMs, cut)) {
        for (const [socket, { response, idleSince, bytesRead }] of connections) {
          const isIdle = response === null && socket.bytesRead === bytesRead
          if (isIdle && performance.now() - Math.max(idleSince, begun) >= quietMs) socket.destroySoon()
        }
      }
      for (const socket of connections.keys()) socket.destroy()
    },
  }
}
