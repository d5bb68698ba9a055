/**
 * Pooled connections to checked addresses, direct or through the egress proxy. No socket of this room is without somebody who hears its
 * `error`, from before it connects until it is gone: one that comes late must not end the program.
 */
import { type AgentOptions, Agent as HttpAgent, type RequestOptions } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { createSecureContext, getCACertificates, connect as startTls } from 'node:tls'
import type { EgressProxy } from './proxy.ts'
import type { Target } from './target.ts'

export type Agents = { http: HttpAgent; https: HttpsAgent }

export type PoolOptions = { maxSocketsPerOrigin: number; idleTimeoutMs: number; ca?: string | undefined }

export type CheckedRequestOptions = RequestOptions & { pool?: string; tunnel?: Tunnel }

/** Opens the connection of one request through the proxy. */
export type Tunnel = () => Promise<Duplex>

type Opened = (error: Error | null, stream: Duplex) => void

/** With Node's 250 ms, a distant but sound first address loses to a second one that leads nowhere. */
const NEXT_ADDRESS_AFTER_MS = 1_000

/** `pooled` keeps connections for the next request; with `fresh` each request has one of its own, as many as there are requests. */
export function createAgents({ maxSocketsPerOrigin, idleTimeoutMs, ca }: PoolOptions): { pooled: Agents; fresh: Agents; destroy(): void } {
  const shared = {
    timeout: idleTimeoutMs,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
  }
  const secure = ca === undefined ? {} : { secureContext: contextTrusting(ca) }
  const agentsThat = (options: AgentOptions): Agents => ({
    http: new CheckedHttpAgent({ ...shared, ...options }),
    https: new CheckedHttpsAgent({ ...shared, ...options, ...secure }),
  })
  const pooled = agentsThat({ keepAlive: true, maxSockets: maxSocketsPerOrigin, maxFreeSockets: maxSocketsPerOrigin })
  // With a limit, Node would hand a connection on to whoever waits for one.
  const fresh = agentsThat({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
  return {
    pooled,
    fresh,
    destroy() {
      for (const { http, https } of [pooled, fresh]) for (const agent of [http, https]) agent.destroy()
    },
  }
}

/** A pooled connection is used again only for the very addresses that this request's check gave. */
class CheckedHttpAgent extends HttpAgent {
  override getName(options?: CheckedRequestOptions): string {
    return `${super.getName(options)}|${options?.pool}`
  }

  override createConnection(options: CheckedRequestOptions, opened?: Opened): Duplex | null | undefined {
    return options.tunnel ? openTunnel(options.tunnel, opened) : watched(super.createConnection(options, opened), 'connect')
  }
}

class CheckedHttpsAgent extends HttpsAgent {
  override getName(options?: CheckedRequestOptions): string {
    return `${super.getName(options)}|${options?.pool}`
  }

  override createConnection(options: CheckedRequestOptions, opened?: Opened): Duplex | null | undefined {
    return options.tunnel ? openTunnel(options.tunnel, opened) : watched(super.createConnection(options, opened), 'secureConnect')
  }
}

const standing = new WeakSet<Duplex>()

/** Calls back once a request on this connection may reach the other side: at once, or when the handshake is done. */
export function onceStanding(socket: Duplex, isTls: boolean, callback: () => void): void {
  if (standing.has(socket)) callback()
  else socket.once(isTls ? 'secureConnect' : 'connect', callback)
}

function watched<S extends Duplex | null | undefined>(socket: S, stands: 'connect' | 'secureConnect'): S {
  socket?.on('error', () => {})
  socket?.once(stands, () => standing.add(socket))
  return socket
}

function openTunnel(tunnel: Tunnel, opened?: Opened): undefined {
  tunnel().then(
    (stream) => {
      opened?.(null, stream)
      // It was paused when the proxy had answered; by now somebody is about to read.
      if (stream.isPaused()) stream.resume()
    },
    // Node's type demands a stream beside an error.
    (error: Error) => opened?.(error, undefined as never),
  )
}

/** A connection to the first checked address through the proxy, with TLS in it where the URL says so. */
export async function tunnelTo(
  proxy: EgressProxy,
  { url, host, addresses }: Target,
  https: HttpsAgent,
  signal: AbortSignal,
): Promise<Duplex> {
  const isTls = url.protocol === 'https:'
  const socket = await proxy.connect({ address: addresses[0]!.address, port: Number(url.port) || (isTls ? 443 : 80) }, signal)
  if (!isTls) {
    standing.add(socket)
    return socket
  }
  const { secureContext } = https.options
  const options = { socket, servername: isIP(host) === 0 ? host : '', host, ...(secureContext ? { secureContext } : {}) }
  return watched(startTls(options), 'secureConnect')
}

/** Made once: a list of authorities given with each connection would be parsed with each connection. */
function contextTrusting(ca: string) {
  return createSecureContext({ ca: [...getCACertificates('default'), ca] })
}
