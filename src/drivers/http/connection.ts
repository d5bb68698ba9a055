/**
 * Pooled connections to checked addresses, direct or through the egress proxy. Every socket has an `error` listener for its whole life,
 * so that a late error cannot end the process.
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

type OnConnection = (error: Error | null, stream: Duplex) => void

/** With Node's default of 250 ms, a distant but working first address can lose to a second one that leads nowhere. */
const NEXT_ADDRESS_AFTER_MS = 1_000

/** `pooled` keeps connections for later requests. With `fresh`, each request opens its own connection, without a limit. */
export function createAgents({ maxSocketsPerOrigin, idleTimeoutMs, ca }: PoolOptions): { pooled: Agents; fresh: Agents; destroy(): void } {
  const shared = {
    timeout: idleTimeoutMs,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
  }
  const secure = ca === undefined ? {} : { secureContext: contextTrusting(ca) }
  const agentsWith = (options: AgentOptions): Agents => ({
    http: new CheckedHttpAgent({ ...shared, ...options }),
    https: new CheckedHttpsAgent({ ...shared, ...options, ...secure }),
  })
  const pooled = agentsWith({ keepAlive: true, maxSockets: maxSocketsPerOrigin, maxFreeSockets: maxSocketsPerOrigin })
  // With a limit, Node would pass a connection on to a request that waits for one.
  const fresh = agentsWith({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
  return {
    pooled,
    fresh,
    destroy() {
      for (const { http, https } of [pooled, fresh]) for (const agent of [http, https]) agent.destroy()
    },
  }
}

/** Reuses a pooled connection only for a request whose check returned exactly the same addresses. */
class CheckedHttpAgent extends HttpAgent {
  override getName(options?: CheckedRequestOptions): string {
    return `${super.getName(options)}|${options?.pool}`
  }

  override createConnection(options: CheckedRequestOptions, onConnection?: OnConnection): Duplex | null | undefined {
    return options.tunnel ? openTunnel(options.tunnel, onConnection) : track(super.createConnection(options, onConnection), 'connect')
  }
}

class CheckedHttpsAgent extends HttpsAgent {
  override getName(options?: CheckedRequestOptions): string {
    return `${super.getName(options)}|${options?.pool}`
  }

  override createConnection(options: CheckedRequestOptions, onConnection?: OnConnection): Duplex | null | undefined {
    return options.tunnel ? openTunnel(options.tunnel, onConnection) : track(super.createConnection(options, onConnection), 'secureConnect')
  }
}

const connected = new WeakSet<Duplex>()

/** Calls back once a request on this connection may reach the receiver: immediately, or when the handshake is complete. */
export function onceConnected(socket: Duplex, isTls: boolean, callback: () => void): void {
  if (connected.has(socket)) callback()
  else socket.once(isTls ? 'secureConnect' : 'connect', callback)
}

function track<S extends Duplex | null | undefined>(socket: S, event: 'connect' | 'secureConnect'): S {
  socket?.on('error', () => {})
  socket?.once(event, () => connected.add(socket))
  return socket
}

function openTunnel(tunnel: Tunnel, onConnection?: OnConnection): undefined {
  tunnel().then(
    (stream) => {
      onConnection?.(null, stream)
      // It was paused after the proxy's response. Now the request reads from it.
      if (stream.isPaused()) stream.resume()
    },
    // Node's type requires a stream beside an error.
    (error: Error) => onConnection?.(error, undefined as never),
  )
}

/** Opens a connection to the first checked address through the proxy, with TLS inside it for an https URL. */
export async function tunnelTo(
  proxy: EgressProxy,
  { url, host, addresses }: Target,
  https: HttpsAgent,
  signal: AbortSignal,
): Promise<Duplex> {
  const isTls = url.protocol === 'https:'
  const socket = await proxy.connect({ address: addresses[0]!.address, port: Number(url.port) || (isTls ? 443 : 80) }, signal)
  if (!isTls) {
    connected.add(socket)
    return socket
  }
  const { secureContext } = https.options
  const options = { socket, servername: isIP(host) === 0 ? host : '', host, ...(secureContext ? { secureContext } : {}) }
  return track(startTls(options), 'secureConnect')
}

/** Created once, because a list of authorities passed with each connection would be parsed for each connection. */
function contextTrusting(ca: string) {
  return createSecureContext({ ca: [...getCACertificates('default'), ca] })
}
