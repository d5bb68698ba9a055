import type { IncomingMessage, ServerResponse } from 'node:http'
import type { PrivateTarget, Route, Router, Upstreams } from '../../domain/deploys/instance/ports.ts'
import { forwardedOf, type Trust } from '../../platform/forwarded.ts'
import { stopListening } from '../../platform/stop-listening.ts'
import { createCertificateTable } from './certificate-table.ts'
import { type ChallengeLookup, createChallengeAnswers, isChallengePath } from './challenge.ts'
import { answer, type Exchange } from './exchange.ts'
import { type ForwardOptions, forward } from './forward.ts'
import { isEncrypted } from './header.ts'
import { answersInPlace } from './https.ts'
import { createListener, type Listener } from './listener.ts'
import { createPool } from './pool.ts'
import { redirectsToPrimary } from './primary.ts'
import type { PrivateRoutes } from './private-route.ts'
import { createRouterServer } from './server.ts'
import { serveStatic } from './static-site.ts'
import { createTable, hostName } from './table.ts'
import { createTunnels } from './tunnel.ts'

/** A finished exchange. `error` is the value of `X-Quayside-Error`. `status` is null if the client disconnected before a response. */
export type RequestRecord = {
  serviceId: string | null
  deploymentId: string | null
  instanceId: string | null
  method: string
  status: number | null
  error: string | null
  upgraded: boolean
  durationMs: number
}

export type ProxyRouterOptions = {
  host: string
  /** 0 selects a free port, which is kept after the first listen. `listen` can override it. */
  port: number
  /** Port for TLS, with 0 as for `port`. Null by default: no TLS. */
  tlsPort?: number | null
  /** Answers challenges of certificate authorities on any host, before anything else. */
  challenges?: ChallengeLookup
  /** Where instances and static files are. */
  upstreams: Upstreams
  /** Accepts private requests. When omitted, every request is routed by the table. */
  privateRoutes?: PrivateRoutes
  /** Text for requests to the domain of the services itself. */
  bare?: { host: string; text: string }
  /** Maximum number of requests in flight, without open WebSockets. Further ones get 503 `router_busy`. */
  maxInFlight?: number
  maxUrlLength?: number
  /** Maximum time without traffic before the response begins (504). Responses that have begun are not limited (SSE). */
  upstreamTimeoutMs?: number
  connectTimeoutMs?: number
  /** How long a request that no instance accepted waits for a table with another instance. */
  retryMs?: number
  /** How long a request waits for the first table before it gets 503. */
  holdMs?: number
  /** How long a request waits while the requests of its service are held, before it gets 503 `service_switching`. */
  switchHoldMs?: number
  /** Maximum number of requests that wait for that. Further ones get the 503 at once. Their bodies are not read. */
  maxHeld?: number
  /** Maximum time from a client's first byte to the end of its headers. */
  headersTimeoutMs?: number
  /** Maximum time of a TLS handshake, and number of them at a time. */
  handshakeTimeoutMs?: number
  maxHandshakes?: number
  /** Proxies whose X-Forwarded-For, -Host and -Proto are trusted. None by default. */
  trust?: Trust
  /** Called once at the end of each exchange. Must not throw. */
  onRequest?: (record: RequestRecord) => void
}

/** Time without activity before `close` closes connections: a request on an accepted connection may still be on its way. */
const quietMs = 200

/** `listen` throws Node's error for any failure other than a port in use, such as EACCES. */
export function createProxyRouter(options: ProxyRouterOptions): Router {
  const { maxInFlight = 5_000, maxUrlLength = 8_192, headersTimeoutMs = 20_000, holdMs = 2_000, onRequest } = options
  const { switchHoldMs = 30_000, maxHeld = 1_000 } = options
  const { handshakeTimeoutMs = 10_000, maxHandshakes = 1_000, trust = () => false, tlsPort = null } = options
  const table = createTable()
  const certificates = createCertificateTable()
  const answersChallenge = createChallengeAnswers(options.challenges)
  const pool = createPool()
  const tunnels = createTunnels()
  const running = new Set<Exchange>()
  const server = (tls: Parameters<typeof createRouterServer>[0]['tls']) => () =>
    createRouterServer({ headersTimeoutMs, tls, onRequest: accept })
  const plain = createListener({ host: options.host, port: options.port, create: server(null) })
  const encrypted =
    tlsPort === null
      ? null
      : createListener({ host: options.host, port: tlsPort, create: server({ certificates, handshakeTimeoutMs, maxHandshakes }) })
  let closing: Promise<void> | null = null
  let onActivity: (() => void) | null = null
  let heldCount = 0
  /** Aborted when the router stops: what waits for another release need not outlast it. */
  let stopping = new AbortController()

  const forwarding = {
    table,
    pool,
    tunnels,
    upstreams: options.upstreams,
    trust,
    connectTimeoutMs: options.connectTimeoutMs ?? 3_000,
    upstreamTimeoutMs: options.upstreamTimeoutMs ?? 120_000,
    retryMs: options.retryMs ?? 2_000,
    hold,
  }

  function accept(request: IncomingMessage, response: ServerResponse, upgrade: Exchange['upgrade']): void {
    const startedAt = performance.now()
    const gone = new AbortController()
    const exchange: Exchange = {
      request,
      response,
      upgrade,
      host: request.headers.host ?? '',
      path: request.url ?? '/',
      signal: gone.signal,
      finish,
      heldUntil: null,
      outcome: { route: null, instanceId: null, error: null, upgraded: false },
    }
    let finished = false
    function finish(): void {
      if (finished) return
      finished = true
      running.delete(exchange)
      gone.abort()
      const { route, instanceId, error, upgraded } = exchange.outcome
      onRequest?.({
        serviceId: route?.serviceId ?? null,
        deploymentId: route?.deploymentId ?? null,
        instanceId,
        method: request.method ?? 'GET',
        status: upgraded ? 101 : response.headersSent ? response.statusCode : null,
        error,
        upgraded,
        durationMs: performance.now() - startedAt,
      })
      if (closing !== null) onActivity?.()
    }
    response.on('close', finish)
    request.on('error', () => {})
    const busy = running.size - tunnels.count() >= maxInFlight
    running.add(exchange)
    if (closing !== null) {
      response.shouldKeepAlive = false
      onActivity?.()
    }
    if (busy) answer(exchange, 'router_busy', { 'Retry-After': '1' })
    else dispatch(exchange).catch(() => answer(exchange, 'internal'))
  }

  async function dispatch(exchange: Exchange): Promise<void> {
    const { request } = exchange
    if (exchange.path.length > maxUrlLength) return answer(exchange, 'uri_too_long')
    if (!exchange.path.startsWith('/') && !acceptAbsoluteForm(exchange)) return answer(exchange, 'bad_request')
    // Two Host headers, or a body before an upgrade: what one part takes for the request, the next may take for another.
    const hosts = request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length
    const framed = request.headers['transfer-encoding'] !== undefined || request.headers['content-length'] !== undefined
    if (hosts > 1 || (exchange.upgrade !== null && framed)) return answer(exchange, 'bad_request')

    const host = hostName(exchange.host)
    if (host === null) return answer(exchange, 'unknown_host')
    const target = options.privateRoutes?.open(request)
    if (target) return servePrivately(exchange, host, target)
    if (isChallengePath(exchange.path) && (await answersChallenge(exchange, host))) return
    const ports = { http: plain.port, https: encrypted?.port ?? 443 }
    const https = { certificates, ports, isForwarded: forwardedOf(request, trust).proto === 'https' }
    if (encrypted !== null && answersInPlace(exchange, host, https)) return
    if (!table.known) await table.changed(holdMs, exchange.signal)
    if (!table.known) return answer(exchange, 'router_starting', { 'Retry-After': '1' })
    const route = table.find(host)
    if (route !== undefined && redirectsToPrimary(exchange, host, route, https)) return
    if (route !== undefined) return serve(exchange, host, route, forwarding)
    return answer(exchange, 'unknown_host', {}, host === options.bare?.host ? options.bare.text : undefined)
  }

  /** Sends a private request to one instance only, without retries, over pooled connections like a visitor's. */
  function servePrivately(
    exchange: Exchange,
    host: string,
    { instanceId, singlePage = false, ...named }: PrivateTarget,
  ): Promise<void> | void {
    const target: Route['target'] = instanceId === null ? { type: 'static', singlePage } : { type: 'instances', instanceIds: [instanceId] }
    const route = { ...named, host, target }
    if (instanceId !== null) pool.expect(instanceId, named.serviceId)
    return serve(exchange, host, route, { ...forwarding, retryMs: 0, table: { find: () => route, changed: async () => {} } })
  }

  function serve(exchange: Exchange, host: string, route: Route, forwardOptions: ForwardOptions): Promise<void> | void {
    exchange.outcome.route = route
    const { target } = route
    if (target.type === 'unavailable') return answer(exchange, target.error)
    if (target.type === 'held') return hold(exchange, host)
    if (target.type === 'instances') return forward(exchange, { ...route, target }, host, forwardOptions)
    const files = route.digest === null ? null : options.upstreams.staticFiles(route.digest)
    if (files === null || route.digest === null) return answer(exchange, 'no_healthy_instance')
    return serveStatic(exchange, { ...files, digest: route.digest, singlePage: target.singlePage })
  }

  async function hold(exchange: Exchange, host: string): Promise<void> {
    exchange.heldUntil ??= performance.now() + switchHoldMs
    const giveUp = () => answer(exchange, 'service_switching', { 'Retry-After': '5' })
    if (heldCount >= maxHeld) return giveUp()
    heldCount += 1
    try {
      while (table.find(host)?.target.type === 'held') {
        const leftMs = exchange.heldUntil - performance.now()
        if (leftMs <= 0) return giveUp()
        await table.changed(leftMs, AbortSignal.any([exchange.signal, stopping.signal]))
        if (exchange.signal.aborted) return
        if (stopping.signal.aborted) return giveUp()
      }
    } finally {
      heldCount -= 1
    }
    const route = table.find(host)
    return route === undefined ? answer(exchange, 'unknown_host') : serve(exchange, host, route, forwarding)
  }

  const listens = (listener: Listener): boolean => listener.server !== null && closing === null

  return {
    get port() {
      return plain.port
    },
    get listens() {
      return listens(plain)
    },
    get ready() {
      return listens(plain) && table.known
    },
    tls: encrypted && {
      get port() {
        return encrypted.port
      },
      get listens() {
        return listens(encrypted)
      },
      listen: async ({ shared = false } = {}) => encrypted.server !== null || encrypted.listen(encrypted.port, { shared }),
      change: certificates.change,
    },
    async listen(wanted = plain.port, { shared = false } = {}) {
      if (plain.server !== null) return true
      table.forget()
      if (!(await plain.listen(wanted, { shared }))) return false
      closing = null
      stopping = new AbortController()
      return true
    },
    apply(routes) {
      table.replace(routes)
      pool.route(null, routes.flatMap(instancesOf))
    },
    change(changes) {
      const former = Map.groupBy(table.change(changes), ({ serviceId }) => serviceId)
      pool.route(
        changes.map(({ serviceId, route }) => ({
          serviceId,
          former: (former.get(serviceId) ?? []).flatMap(instancesOf),
          present: route ? instancesOf(route) : [],
        })),
      )
    },
    load: () => pool.load(),
    async close({ graceMs }) {
      if (plain.server === null) return
      closing ??= drain(graceMs)
      await closing
    },
  }

  async function drain(graceMs: number): Promise<void> {
    stopping.abort()
    for (const { response } of running) if (!response.headersSent) response.shouldKeepAlive = false
    const servers = [plain, encrypted].flatMap((listener) => listener?.server ?? [])
    const stopped = await Promise.all(servers.map((listening) => stopListening(listening)))
    const ended = Promise.all(stopped.map((server) => server.ended))
    await Promise.race([ended, quiet(graceMs)])
    for (const listening of servers) {
      // Also stops the timer of the server.
      listening.close()
      listening.closeAllConnections()
    }
    tunnels.cut()
    await ended
    pool.close()
    plain.ended()
    encrypted?.ended()
  }

  /** Resolves after a moment with nothing but WebSockets open, which are closed in any case, or after `graceMs`. */
  function quiet(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      let pause: NodeJS.Timeout | undefined
      const end = () => {
        clearTimeout(pause)
        clearTimeout(limit)
        onActivity = null
        resolve()
      }
      const limit = setTimeout(end, graceMs)
      onActivity = () => {
        clearTimeout(pause)
        if ([...running].every(({ outcome }) => outcome.upgraded)) pause = setTimeout(end, quietMs)
      }
      onActivity()
    })
  }
}

const instancesOf = ({ target }: Route): string[] => (target.type === 'instances' ? target.instanceIds : [])

/**
 * Accepts a request target in absolute form, such as `GET http://shop.localhost/x`, whose host takes precedence over the Host header (RFC
 * 9112, 3.2.2), and `OPTIONS *`. Returns false for any other target.
 */
function acceptAbsoluteForm(exchange: Exchange): boolean {
  if (exchange.path === '*') return exchange.request.method === 'OPTIONS'
  const match = /^(https?):\/\/([^/?#@]+)(\/[^#]*|\?[^#]*)?$/i.exec(exchange.path)
  if (match?.[2] === undefined || (match[1]?.toLowerCase() === 'https') !== isEncrypted(exchange.request)) return false
  exchange.host = match[2]
  const path = match[3] ?? '/'
  exchange.path = path.startsWith('/') ? path : `/${path}`
  return true
}
