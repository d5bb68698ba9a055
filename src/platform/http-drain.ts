/**
 * Ends an HTTP server without a failed request: the port is closed first, what was accepted is answered, and a kept connection is
 * closed with its next answer, or when no request has come on it for a while.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pause } from './clock.ts'
import { stopListening } from './stop-listening.ts'

export type HttpDrain = {
  /**
   * Closes the port and resolves when every connection but upgraded ones is gone: when all has been answered, or at the abort of
   * `cut`, which closes what is left.
   */
  drain(cut: AbortSignal): Promise<void>
  /**
   * Set while the port is being closed; resolves when it is. The server begins no request until then: whoever waits for an answer makes
   * no new connection, so that a moment comes in which none is on its way.
   */
  readonly portClosing: Promise<void> | null
}

type Connection = {
  /** The last request's, until it is over. */
  response: ServerResponse | null
  quietSince: number
  /** What had come on it when it became quiet; more is the beginning of a request. */
  bytesRead: number
}

/**
 * How long nothing may have come on a kept connection before it is closed. A client that sends a request in the moment of the close
 * gets a reset, and can't know whether the request was taken; whoever has been quiet for so long hardly sends in that moment.
 */
const quietMs = 1_000
const lookMs = 20
/** The port is closed when no connection has come for so long; where they never cease, it is closed in any moment without one. */
const portCalm = { quietMs: 100, withinMs: 1_000 }

/** To be called before the server listens: it follows the connections from the first one on. */
export function followConnections(server: Server): HttpDrain {
  const connections = new Map<Socket, Connection>()
  let isDraining = false
  let portClosing: Promise<void> | null = null

  server.on('connection', (socket: Socket) => {
    connections.set(socket, { response: null, quietSince: performance.now(), bytesRead: 0 })
    socket.once('close', () => connections.delete(socket))
  })
  // Before whoever answers: an answer that is written at once must say already that the connection ends.
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(socket)
    if (!connection) return
    if (isDraining) response.shouldKeepAlive = false
    connection.response = response
    response.once('close', () => {
      if (connection.response === response) Object.assign(connection, { response: null, quietSince: performance.now() })
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
        portClosing = stopListening(server, portCalm).then(() => {})
        await portClosing
        portClosing = null
      }
      for (const begun = performance.now(); connections.size > 0 && !cut.aborted; await pause(lookMs, cut)) {
        for (const [socket, { response, quietSince, bytesRead }] of connections) {
          const isQuiet = response === null && socket.bytesRead === bytesRead
          if (isQuiet && performance.now() - Math.max(quietSince, begun) >= quietMs) socket.destroySoon()
        }
      }
      for (const socket of connections.keys()) socket.destroy()
    },
  }
}
