import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Route } from '../../domain/deploys/instance/ports.ts'
import { forwardedOf, type Trust } from '../../platform/forwarded.ts'

/** Node's raw headers, names and values alternating: preserves case, order and repetition. */
export type RawHeaders = string[]

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  // CGI-like apps see it as the variable HTTP_PROXY.
  'proxy',
])

/** Headers of framing and routing, which a client cannot remove by naming them in `Connection`. */
const neverNamedByConnection = new Set(['host', 'content-length'])

/** Selects an instance in a private request (private-route.ts). Never forwarded. */
export const privateHeader = 'x-quayside-private'

const forwarding = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'x-real-ip']

function endToEnd(raw: RawHeaders, connection: string | undefined, dropped: Iterable<string>): RawHeaders {
  const drop = new Set([...hopByHop, ...dropped])
  for (const token of connection?.split(',') ?? []) {
    const name = token.trim().toLowerCase()
    if (!neverNamedByConnection.has(name)) drop.add(name)
  }
  const kept: RawHeaders = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (!drop.has(raw[i]!.toLowerCase())) kept.push(raw[i]!, raw[i + 1]!)
  }
  return kept
}

/** Whether the request came over TLS to this router. */
export const isEncrypted = ({ socket }: IncomingMessage): boolean => (socket as Partial<TLSSocket>).encrypted === true

export function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
}

/** Headers for the instance. `host` is the client's Host header. Forwarding headers are used only if a trusted proxy sent them. */
export function requestHeaders(request: IncomingMessage, options: { host: string; trust: Trust; upgrade: boolean }): RawHeaders {
  const { headers } = request
  const chunked = headers['transfer-encoding'] !== undefined
  const dropped = ['host', privateHeader, ...forwarding, ...(chunked ? [] : ['trailer'])]
  const sent = ['Host', options.host, ...endToEnd(request.rawHeaders, headers.connection, dropped)]

  const { client, chain, proto, host } = forwardedOf(request, options.trust)
  sent.push('X-Forwarded-For', chain.join(', '))
  sent.push('X-Forwarded-Host', host ?? options.host)
  sent.push('X-Forwarded-Proto', proto ?? (isEncrypted(request) ? 'https' : 'http'))
  sent.push('X-Real-IP', client)

  if (options.upgrade) sent.push('Connection', 'Upgrade', 'Upgrade', headers.upgrade ?? 'websocket')
  // Also on a connection that is used once: with `close`, an app that refuses a body may reset the connection.
  else sent.push('Connection', 'keep-alive')
  if (chunked) sent.push('Transfer-Encoding', 'chunked')
  // Without this header, Node would use chunked encoding for a POST without a body.
  else if (headers['content-length'] === undefined && !['GET', 'HEAD', 'OPTIONS', 'TRACE'].includes(request.method ?? '')) {
    sent.push('Content-Length', '0')
  }
  return sent
}

/** Headers for the client: those of the instance, with `X-Quayside-*` replaced by the router's own. */
export function responseHeaders(response: IncomingMessage, route: Route, options: { chunkable: boolean }): RawHeaders {
  const dropped = ['x-quayside-release', 'x-quayside-deployment', 'x-quayside-error']
  if (!options.chunkable || response.headers['transfer-encoding'] === undefined) dropped.push('trailer')
  return [...endToEnd(response.rawHeaders, response.headers.connection, dropped), ...releaseHeaders(route)]
}

export function releaseHeaders(route: Route | null): RawHeaders {
  const headers: RawHeaders = []
  if (route?.digest != null) headers.push('X-Quayside-Release', route.digest)
  if (route?.deploymentId != null) headers.push('X-Quayside-Deployment', route.deploymentId)
  return headers
}
