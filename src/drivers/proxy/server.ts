/** The servers of the router, for HTTP and for HTTPS: how they accept connections and hand over requests. */
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { CertificateTable } from './certificate-table.ts'
import type { Exchange } from './exchange.ts'
import { hostName } from './table.ts'

export type RouterServerOptions = {
  headersTimeoutMs: number
  /** Null for plain HTTP. */
  tls: { certificates: CertificateTable; handshakeTimeoutMs: number; maxHandshakes: number } | null
  onRequest: (request: IncomingMessage, response: ServerResponse, upgrade: Exchange['upgrade']) => void
}

/** Not listening yet. Every request gets a response object, also one that asks for an upgrade. */
export function createRouterServer({ headersTimeoutMs, tls, onRequest }: RouterServerOptions): Server {
  const options = {
    headersTimeout: headersTimeoutMs,
    // Unlimited, because a large upload may take any time. `forward` limits idle requests.
    requestTimeout: 0,
    keepAliveTimeout: 15_000,
    connectionsCheckingInterval: Math.min(5_000, headersTimeoutMs),
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    // A client that offers h2c also accepts HTTP/1.1.
    shouldUpgradeCallback: (request: IncomingMessage) => !/\bh2c?\b/i.test(request.headers.upgrade ?? ''),
  }
  const server = tls === null ? createServer(options) : secured(options, tls)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => onRequest(request, response, null))
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => onRequest(request, response, null))
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    request.socket.setTimeout(0)
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(request.socket)
    response.on('finish', () => request.socket.destroySoon())
    onRequest(request, response, { socket, head })
  })
  return server
}

function secured(options: object, { certificates, handshakeTimeoutMs, maxHandshakes }: NonNullable<RouterServerOptions['tls']>): Server {
  const server = createTlsServer({
    ...options,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: handshakeTimeoutMs,
    // Without a context, the handshake fails: the server itself has no certificate.
    SNICallback(name, callback) {
      try {
        const host = hostName(name)
        callback(null, host === null ? undefined : certificates.contextOf(host))
      } catch (error) {
        callback(error as Error)
      }
    },
  })
  limitHandshakes(server, maxHandshakes)
  return server
}

const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`

/** Of too many handshakes at once, the oldest is ended: others take milliseconds, so that is a client that sends nothing. */
function limitHandshakes(server: Server, maxHandshakes: number): void {
  const pending = new Map<string, Socket>()
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    pending.set(peer, socket)
    socket.on('close', () => pending.get(peer) === socket && pending.delete(peer))
    if (pending.size > maxHandshakes) pending.values().next().value?.destroy()
  })
  server.on('secureConnection', (socket: Socket) => pending.delete(peerOf(socket)))
  const closeConnections = server.closeAllConnections.bind(server)
  server.closeAllConnections = () => {
    closeConnections()
    for (const socket of pending.values()) socket.destroy()
  }
}
