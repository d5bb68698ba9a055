import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { PrivateTarget, Route, Router, Upstreams } from '../../domain/deploys/instance/ports.ts'
import type { Trust } from '../../platform/forwarded.ts'
import { answer, type Exchange } from './exchange.ts'
import { type ForwardOptions, forward } from './forward.ts'
import { createPool } from './pool.ts'
import { isFree, letConnectionsMove, stopListening } from './port.ts'
import type { PrivateRoutes } from './private-route.ts'
import { serveStatic } from './static-site.ts'
import { createTable, hostName } from './table.ts'
import { createTunnels } from './tunnel.ts'

/** One finished exchange. `error` is what `X-Quayside-Error` said; `status` null when the client left before an answer. */
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
  /** 0 picks a free one, kept after the first listen. `listen` may name another. */
  port: number
  /** Where instances and static files are. */
  upstreams: Upstreams
  /** How a release is asked before visitors are; without it every request goes by the table. */
  privateRoutes?: PrivateRoutes
  /** What is said to who asks for no service at all, but by the domain that they are under. */
  bare?: { host: string; text: string }
  /** Requests in hand (open WebSockets apart) before further ones are refused with 503 `router_busy`. */
  maxInFlight?: number
  maxUrlLength?: number
  /** How long a request without an answer may lie still (504); an answer that has begun may take its time (SSE). */
  upstreamTimeoutMs?: number
  connectTimeoutMs?: number
  /** How long a request that no instance took waits for a table that names another. */
  retryMs?: number
  /** How long a request waits for the first table, before it is told to come again (503). */
  holdMs?: number
  /** From a client's first byte to the end of its headers. */
  headersTimeoutMs?: number
  /** Whose X-Forwarded-For, -Host and -Proto count; nobody's when absent. */
  trust?: Trust
  /** Called once for each exchange at its end; must not throw. */
  onRequest?: (record: RequestRecord) => void
}

/** How long it must be quiet before `close` cuts: a request on an accepted connection may still be on the wire. */
const quietMs = 200

/** `listen` throws what node throws for anything but a port in use (EACCES, no such address). */
export function createProxyRouter(options: ProxyRouterOptions): Router {
  const { maxInFlight = 5_000, maxUrlLength = 8_192, headersTimeoutMs = 20_000, holdMs = 2_000, onRequest } = options
  const table = createTable()
  const pool = createPool()
  const tunnels = createTunnels()
  const running = new Set<Exchange>()
  let port = options.port
  let server: Server | null = null
  let closing: Promise<void> | null = null
  let onActivity: (() => void) | null = null

  const forwarding = {
    table,
    pool,
    tunnels,
    upstreams: options.upstreams,
    trust: options.trust ?? (() => false),
    connectTimeoutMs: options.connectTimeoutMs ?? 3_000,
    upstreamTimeoutMs: options.upstreamTimeoutMs ?? 120_000,
    retryMs: options.retryMs ?? 2_000,
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
    if (!exchange.path.startsWith('/') && !takeAbsoluteForm(exchange)) return answer(exchange, 'bad_request')
    // Two Host headers, or a body before an upgrade: what one part takes for the request, the next may take for another.
    const hosts = request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length
    const framed = request.headers['transfer-encoding'] !== undefined || request.headers['content-length'] !== undefined
    if (hosts > 1 || (exchange.upgrade !== null && framed)) return answer(exchange, 'bad_request')

    const host = hostName(exchange.host)
    if (host === null) return answer(exchange, 'unknown_host')
    const asked = exchange.upgrade === null ? options.privateRoutes?.open(request) : null
    if (asked) return askPrivately(exchange, host, asked)
    if (!table.known) await table.changed(holdMs, exchange.signal)
    if (!table.known) return answer(exchange, 'router_starting', { 'Retry-After': '1' })
    const route = table.find(host)
    if (route !== undefined) return serve(exchange, host, route, forwarding)
    return answer(exchange, 'unknown_host', {}, host === options.bare?.host ? options.bare.text : undefined)
  }

  /** Of one instance and no other, at once; over connections that are used again, as a visitor's are. */
  function askPrivately(
    exchange: Exchange,
    host: string,
    { instanceId, singlePage = false, ...named }: PrivateTarget,
  ): Promise<void> | void {
    const target: Route['target'] = instanceId === null ? { type: 'static', singlePage } : { type: 'instances', instanceIds: [instanceId] }
    const route = { ...named, host, target }
    if (instanceId !== null) pool.expect(instanceId, named.serviceId)
    return serve(exchange, host, route, { ...forwarding, retryMs: 0, table: { find: () => route, changed: async () => {} } })
  }

  function serve(exchange: Exchange, host: string, route: Route, how: ForwardOptions): Promise<void> | void {
    exchange.outcome.route = route
    const { target } = route
    if (target.type === 'unavailable') return answer(exchange, target.error)
    if (target.type === 'instances') return forward(exchange, { ...route, target }, host, how)
    const files = route.digest === null ? null : options.upstreams.staticFiles(route.digest)
    if (files === null || route.digest === null) return answer(exchange, 'no_healthy_instance')
    return serveStatic(exchange, { ...files, digest: route.digest, singlePage: target.singlePage })
  }

  function start(): Server {
    const made = createServer(
      {
        headersTimeout: headersTimeoutMs,
        // The whole request, bodies included: a large upload may take longer than any fixed time; idle ones are timed by `forward`.
        requestTimeout: 0,
        keepAliveTimeout: 15_000,
        connectionsCheckingInterval: Math.min(5_000, headersTimeoutMs),
        keepAlive: true,
        keepAliveInitialDelay: 60_000,
        // A client that offers h2c only means to be answered in HTTP/1.1.
        shouldUpgradeCallback: (request: IncomingMessage) => !/\bh2c?\b/i.test(request.headers.upgrade ?? ''),
      },
      (request, response) => accept(request, response, null),
    )
    made.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => accept(request, response, null))
    made.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy())
      request.socket.setTimeout(0)
      const response = new ServerResponse(request)
      response.shouldKeepAlive = false
      response.assignSocket(request.socket)
      response.on('finish', () => request.socket.destroySoon())
      accept(request, response, { socket, head })
    })
    return made
  }

  return {
    get port() {
      return port
    },
    get listens() {
      return server !== null && closing === null
    },
    get ready() {
      return server !== null && closing === null && table.known
    },
    async listen(wanted = port, { shared = false } = {}) {
      if (server !== null) return true
      port = wanted
      if (!shared && !(await isFree(options.host, port))) return false
      table.forget()
      await letConnectionsMove()
      const made = start()
      const held = await new Promise<boolean>((resolve, reject) => {
        made.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)))
        // Where the kernel can, others of ours may listen beside us, so that one can go without a request being lost.
        made.listen({ host: options.host, port, reusePort: process.platform === 'linux' }, () => resolve(true))
      })
      if (!held) return false
      // Out of file descriptors: that connection is lost, the next may come.
      made.on('error', () => {})
      port = (made.address() as AddressInfo).port
      server = made
      closing = null
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
      if (server === null) return
      closing ??= drain(server, graceMs)
      await closing
    },
  }

  async function drain(listening: Server, graceMs: number): Promise<void> {
    for (const { response } of running) if (!response.headersSent) response.shouldKeepAlive = false
    const { ended } = await stopListening(listening)
    await Promise.race([ended, quiet(graceMs)])
    // Ends its timer, too.
    listening.close()
    listening.closeAllConnections()
    tunnels.cut()
    await ended
    pool.close()
    server = null
  }

  /** Resolves when nothing but WebSockets has run for a moment, or after `graceMs`: those end by a cut in either case, so they don't delay it. */
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

/** `GET http://shop.localhost/x`: the address in the request line wins over the Host header (RFC 9112, 3.2.2). `OPTIONS *` is passed on. */
function takeAbsoluteForm(exchange: Exchange): boolean {
  if (exchange.path === '*') return exchange.request.method === 'OPTIONS'
  const match = /^http:\/\/([^/?#@]+)(\/[^#]*|\?[^#]*)?$/i.exec(exchange.path)
  if (match?.[1] === undefined) return false
  exchange.host = match[1]
  const path = match[2] ?? '/'
  exchange.path = path.startsWith('/') ? path : `/${path}`
  return true
}
