/**
 * The S3 endpoint: an HTTP server with the S3 API over the objects of the domain. This room speaks the protocol: signatures, encodings, XML
 * and status codes. What is stored, and whether it may be, is decided in the domain.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIP } from 'node:net'
import { followConnections } from '../platform/http-drain.ts'
import { isFree, letConnectionsMove } from '../platform/shared-port.ts'
import type { App } from '../platform/work.ts'
import type { Patience } from './received-body.ts'
import { refuseConnection } from './refuse-connection.ts'

export type S3Endpoint = {
  /** The port that it listens on, or is to listen on. */
  readonly port: number
  /**
   * Starts listening, on `port` instead of its own if it is given. A port that other processes of this installation listen on is shared with
   * them. Returns false if another program has the port.
   */
  listen(options: { shared: boolean; port?: number }): Promise<boolean>
  /** Closes the port, answers the requests in progress, and resolves when all connections are closed, at the latest after `graceMs`. */
  close(options: { graceMs: number }): Promise<void>
}

export type S3EndpointOptions = {
  host: string
  /** 0 selects a free port. */
  port: number
  patience?: Patience
}

/** Loaded with the first request, because its libraries take 20 MB and many installations have no bucket. */
let handler: Promise<typeof import('./handle.ts')> | undefined
const loadHandler = () => {
  handler ??= import('./handle.ts')
  return handler
}

const usualPatience: Patience = { stallMs: 30_000, bytesPerSecond: 16 * 1024 }

export function createS3Endpoint(app: App, { host, port: ownPort, patience = usualPatience }: S3EndpointOptions): S3Endpoint {
  const hosts = hostsOf(app)
  let server: Server | null = null
  let listeningPort = ownPort
  let connections: ReturnType<typeof followConnections> | null = null

  const accept = async (request: IncomingMessage, response: ServerResponse, beginBody: () => void) => {
    const { handle } = await loadHandler()
    await handle({ app, hosts, patience, request, response, beginBody })
  }

  return {
    get port() {
      return listeningPort
    },
    async listen({ shared, port = ownPort }) {
      if (!shared && !(await isFree(host, port))) return false
      await letConnectionsMove()
      const created = createServer({
        headersTimeout: 20_000,
        requestTimeout: 0,
        keepAliveTimeout: 15_000,
        connectionsCheckingInterval: 5_000,
        // Clients that offer HTTP/2 or a WebSocket are answered as if they had not.
        shouldUpgradeCallback: () => false,
      })
      created.on('request', (request, response) => accept(request, response, () => {}))
      created.on('checkContinue', (request, response) => accept(request, response, () => response.writeContinue()))
      created.on('clientError', refuseConnection)
      connections = followConnections(created)
      const isHeld = await new Promise<boolean>((resolve, reject) => {
        created.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)))
        created.listen({ host, port, reusePort: process.platform === 'linux' }, () => resolve(true))
      })
      if (!isHeld) return false
      // Accepting failed, for example without a free file descriptor: that connection is lost, later ones are not.
      created.on('error', () => {})
      listeningPort = (created.address() as AddressInfo).port
      server = created
      return true
    },
    async close({ graceMs }) {
      if (!server) return
      const cut = new AbortController()
      const timer = setTimeout(() => cut.abort(), graceMs)
      await connections?.drain(cut.signal)
      clearTimeout(timer)
      // Also stops the timer of the server.
      server.close()
      server = null
    },
  }
}

/** Names of the endpoint, below which a bucket is a host of its own. */
function hostsOf({ settings }: App): string[] {
  const given = settings.S3_PUBLIC_URL ? new URL(settings.S3_PUBLIC_URL).hostname : ''
  return [`s3.${settings.ROUTER_DOMAIN}`, ...(given && isIP(given.replace(/^\[|\]$/g, '')) === 0 ? [given] : [])]
}
