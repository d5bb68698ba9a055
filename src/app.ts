/**
 * The HTTP server: /graphql, health checks, metrics, and everything that all doors share (request IDs, CORS, body limit, unknown paths,
 * draining). Doors mount themselves; none of their rules belong here.
 */
import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { type FastifyBaseLogger, type FastifyInstance, type FastifyPluginAsync, type FastifyRequest, fastify, LogController } from 'fastify'
import type { GraphQLSchema } from 'graphql'
import { collectDefaultMetrics, Gauge, Histogram, type Metric, Registry } from 'prom-client'
import { callerOfCredential } from './domain/access/api-key/index.ts'
import { flushCallRecords, odooCalls } from './domain/odoo/bridge-call/index.ts'
import { storageFigures } from './domain/resources/storage/index.ts'
import { webhookFigures } from './domain/webhooks/attempt/index.ts'
import { type Authenticate, type GraphqlDoor, mountGraphql, type Times } from './graphql/index.ts'
import { createEarlyRefusals, maxHeaderBytes } from './platform/early-refusal.ts'
import { type DomainError, errors } from './platform/errors.ts'
import { flaggedEvents } from './platform/events.ts'
import { createFailureLog } from './platform/failure-log.ts'
import { figureGauges } from './platform/figure-gauges.ts'
import { onBehalfOf, trustOf } from './platform/forwarded.ts'
import { followConnections, type HttpDrain } from './platform/http-drain.ts'
import { refusalOf } from './platform/outage.ts'
import { stopRateLimits } from './platform/rate-limit/index.ts'
import { uncaughtErrors } from './platform/uncaught.ts'
import type { App } from './platform/work.ts'
import { s3Bytes, s3Requests } from './s3/metrics.ts'

export type AppOptions = {
  app: App
  schema: GraphQLSchema
  /** Plugins of the REST dialects; each formats its own errors. */
  rest?: readonly FastifyPluginAsync[]
  /** Authenticates credentials at /graphql. Defaults to those that the domain knows. */
  authenticate?: Authenticate
  /** Directory of the migrations that the database must have. */
  migrationsDirectory?: string
  /** Reasons for which /readyz reports that the start has not finished. */
  startWaitsFor?: (() => readonly string[]) | undefined
  /** Intervals and timeouts of streams; tests shorten them. */
  times?: Partial<Times>
}

const bodyLimitBytes = 2 * 1024 * 1024
/** Share of the grace period for requests. The rest is for aborting the remaining ones and for stopping the process. */
const graceShare = 0.8

/**
 * Creates the server without listening. `listen` and `inject` are Fastify's. `close` drains: it refuses new connections, ends event streams
 * and sockets, waits for running requests, and aborts the remaining ones before SHUTDOWN_GRACE_MS is over.
 */
export async function createApp(options: AppOptions): Promise<FastifyInstance> {
  const { app, rest = [], authenticate = (credential) => callerOfCredential(app, credential) } = options
  const early = createEarlyRefusals()
  const server = fastify({
    ...early.options,
    loggerInstance: app.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestIdOf,
    bodyLimit: bodyLimitBytes,
    requestTimeout: 30_000,
    return503OnClosing: false,
    forceCloseConnections: false,
    trustProxy: app.settings.TRUST_PROXY.length > 0 && trustOf(app.settings.TRUST_PROXY),
    rewriteUrl: decodableUrl,
    // An id in a path may be as long as the headers allow.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: maxHeaderBytes },
  })
  const metrics = createMetrics(app, () => graphql.sockets())
  const state = { draining: false }

  addRequestIds(server)
  early.add(server)
  addOrigins(server)
  const connections = followConnections(server.server)
  server.addHook('onRequest', (_request, _reply, done) => {
    if (connections.portClosing) void connections.portClosing.then(() => done())
    else done()
  })
  addRequestLog(server, app.log)
  addCors(server, app.settings.CORS_ORIGINS)
  addIndexPage(server, app)
  addErrorHandlers(server, app)
  addMetrics(server, metrics)
  addHealth(server, app, state, options)
  const graphql = mountGraphql(server, {
    app,
    schema: options.schema,
    authenticate,
    requestId: requestIdOf,
    maxPayloadBytes: bodyLimitBytes,
    observe: metrics.observe,
    times: options.times,
  })
  addDraining(server, app, state, graphql, connections)
  server.server.on('error', (err) => {
    // For example, accept failed for want of a file descriptor: only that connection is lost. `listen` rejects with its own errors.
    if (server.server.listening) app.log.warn({ err }, 'a connection could not be accepted')
  })
  for (const plugin of rest) await server.register(plugin)
  await server.ready()
  return server
}

/** Escapes a path that can't be decoded, so that it is answered as an unknown path by its door rather than refused by Fastify. */
function decodableUrl(request: IncomingMessage): string {
  const url = request.url ?? '/'
  if (!url.includes('%')) return url
  const path = url.split('?', 1)[0]!
  try {
    decodeURIComponent(path)
    return url
  } catch {
    return path.replaceAll('%', '%25') + url.slice(path.length)
  }
}

/** The client's X-Request-Id if it is short and safe to log and to return, otherwise a new id. */
function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && /^[\w.:-]{1,100}$/.test(given) ? given : randomUUID()
}

/** Runs each request on behalf of its client, which audit entries name. */
function addOrigins(server: FastifyInstance): void {
  server.decorateRequest('route', null)
  server.addHook('onRequest', (request, _reply, done) => {
    const userAgent = request.headers['user-agent'] ?? null
    onBehalfOf({ address: request.ip, userAgent, door: routeOf(request).door }, done)
  })
}

type Route = { path: string; door: string; quiet: boolean }

/** What the hooks need of a request's route, kept because Fastify puts all its options together for each reader. */
function routeOf(request: FastifyRequest): Route {
  if (request.route) return request.route
  const { url: path = 'unknown', config } = request.routeOptions
  request.route = { path, door: config.door ?? 'http', quiet: config.quiet ?? false }
  return request.route
}

function addRequestIds(server: FastifyInstance): void {
  server.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    done()
  })
}

/** Logs one line per request, without the query string, which may contain user input. Quiet routes are logged at level debug. */
function addRequestLog(server: FastifyInstance, log: App['log']): void {
  server.addHook('onResponse', (request, reply, done) => {
    const level = routeOf(request).quiet ? 'debug' : 'info'
    if (log.isLevelEnabled(level)) {
      const path = request.url.split('?', 1)[0]
      request.log[level](
        { client: request.ip, method: request.method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
        'answered',
      )
    }
    done()
  })
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Log requests at level debug only, because they are frequent. */
    quiet?: boolean
    /** Name of the door that the route belongs to, for audit entries. */
    door?: string
  }
  interface FastifyRequest {
    /** See `routeOf`. */
    route: Route | null
  }
}

const exposed =
  'ETag, RateLimit, RateLimit-Policy, X-API-Key-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-RateLimit-Window, Retry-After, X-Request-Id'

/** Answers OPTIONS for every path. Without CORS_ORIGINS, other origins are not allowed; `*` allows all. */
function addCors(server: FastifyInstance, origins: readonly string[]): void {
  server.addHook('onRequest', (request, reply, done) => {
    const { origin } = request.headers
    const allowed = origin !== undefined && (origins.includes('*') || origins.includes(origin))
    if (origins.length > 0) reply.header('vary', 'Origin')
    if (allowed) reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': exposed })
    if (request.method !== 'OPTIONS') return done()
    if (allowed) {
      reply.headers({
        'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
        'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '*',
        'access-control-max-age': '600',
      })
    }
    reply.code(204).send()
  })
}

/** The page at /, for people who open the address in a browser. */
function addIndexPage(server: FastifyInstance, app: App): void {
  const places: [string, string][] = [
    ['/login', 'sign in, and your account'],
    ['/bridge', 'the Odoo bridge: keys, guide and speed tests'],
    ['/graphql', app.settings.GRAPHIQL ? 'GraphQL, with GraphiQL to try it' : 'GraphQL'],
    ['/api/docs', 'REST'],
    ['/readyz', 'whether this server is ready'],
  ]
  server.get('/', { config: { quiet: true } }, async (request, reply) => {
    if (!request.headers.accept?.includes('text/html')) return { service: 'Quayside', paths: places.map(([path]) => path) }
    const links = places.map(([path, what]) => `<li><a href="${path}">${path}</a>: ${what}</li>`).join('')
    return reply
      .type('text/html; charset=utf-8')
      .header('x-content-type-options', 'nosniff')
      .send(`<!doctype html><meta charset="utf-8"><title>Quayside</title><h1>Quayside</h1><ul>${links}</ul>\n`)
  })
}

function addErrorHandlers(server: FastifyInstance, app: App): void {
  const answer = (request: FastifyRequest, error: DomainError) => ({
    error: { code: error.code, kind: error.kind, message: error.message, requestId: request.id },
  })
  server.setNotFoundHandler((request, reply) =>
    reply.code(404).send(answer(request, errors.not_found({ text: 'This path does not exist.' }))),
  )
  server.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const refused = refusalOf(app, error)
    if (refused?.kind === 'unavailable') return reply.code(503).send(answer(request, refused))
    const status = error.statusCode && error.statusCode < 500 ? error.statusCode : 500
    if (status === 500) request.log.error({ err: error }, 'a request failed unexpectedly')
    const known =
      status === 413 ? errors.payload_too_large() : status === 500 ? errors.internal() : errors.invalid_input({ text: error.message })
    return reply.code(status).send(answer(request, known))
  })
}

function addHealth(server: FastifyInstance, app: App, state: { draining: boolean }, options: AppOptions): void {
  const { startWaitsFor = () => [], migrationsDirectory = join(import.meta.dirname, '..', 'prisma', 'migrations') } = options
  const failures = createFailureLog(
    app,
    {
      failed: 'not ready: the applied migrations could not be read from the database',
      recovered: 'the applied migrations can be read from the database again',
    },
    'warn',
  )
  const reasons = async (): Promise<readonly string[]> => {
    if (state.draining) return ['the server is shutting down']
    if (startWaitsFor().length > 0) return startWaitsFor()
    try {
      const expected = (await readdir(migrationsDirectory, { withFileTypes: true })).filter((entry) => entry.isDirectory())
      // Not through the pool: a busy pool doesn't make the server unready.
      const applied = await app.db.session.ask<{ name: string }>(
        'select migration_name as name from _prisma_migrations where finished_at is not null and rolled_back_at is null',
        [],
        readyAnswerMs,
      )
      failures.succeeded()
      const names = new Set(applied.map(({ name }) => name))
      return expected.filter(({ name }) => !names.has(name)).map(({ name }) => `migration ${name} is not applied`)
    } catch (error) {
      failures.failed(error)
      return ['the database does not answer']
    }
  }
  server.get('/healthz', { config: { quiet: true } }, async () => ({ status: 'ok' }))
  server.get('/readyz', { config: { quiet: true } }, async (_request, reply) => {
    const found = await reasons()
    return found.length === 0 ? { status: 'ok' } : reply.code(503).send({ status: 'unavailable', reasons: found })
  })
}

const readyAnswerMs = 500

type Metrics = ReturnType<typeof createMetrics>

/** The process metrics are collected once per process, which in tests has several servers. */
let processRegistry: Registry | undefined

function createMetrics(app: App, sockets: () => number) {
  if (!processRegistry) {
    processRegistry = new Registry()
    // The delay of the event loop is measured by a timer, which wakes an idle process 100 times a second by default.
    collectDefaultMetrics({ register: processRegistry, eventLoopMonitoringPrecision: 100 })
  }
  const registers = [new Registry()]
  registers[0]!.registerMetric(flaggedEvents)
  for (const metric of [uncaughtErrors, s3Requests, s3Bytes, odooCalls]) registers[0]!.registerMetric(metric as Metric)
  const buckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
  const requests = new Histogram({
    name: 'quayside_http_request_seconds',
    help: 'Duration of HTTP requests in seconds, by method, route and status. Event streams are counted when they end.',
    labelNames: ['method', 'route', 'status'],
    buckets,
    registers,
  })
  const operations = new Histogram({
    name: 'quayside_graphql_operation_seconds',
    help: 'Duration of GraphQL operations in seconds over all transports, by type and code of the first error.',
    labelNames: ['operation', 'code'],
    buckets,
    registers,
  })
  new Gauge({
    name: 'quayside_websockets',
    help: 'Number of open WebSockets.',
    registers,
    collect() {
      this.set(sockets())
    },
  })
  new Gauge({
    name: 'quayside_database_connections',
    help: 'Database connections of the pool (busy, idle), and requests waiting for one (waiting).',
    labelNames: ['state'],
    registers,
    collect() {
      const { totalCount, idleCount, waitingCount } = app.db.pool
      this.set({ state: 'busy' }, totalCount - idleCount)
      this.set({ state: 'idle' }, idleCount)
      this.set({ state: 'waiting' }, waitingCount)
    },
  })
  addWebhookMetrics(app, registers)
  addStorageMetrics(app, registers)
  return {
    print: async () => Registry.merge([processRegistry!, ...registers]).metrics(),
    contentType: processRegistry.contentType,
    requests,
    observe: ({ operation, code, seconds }: { operation: string; code: string; seconds: number }) =>
      operations.observe({ operation, code }, seconds),
  }
}

function addWebhookMetrics(app: App, registers: Registry[]): void {
  const gauge = figureGauges(app, { prefix: 'quayside_webhook', noun: 'webhook', read: webhookFigures, registers })
  gauge('queue_depth', 'Pending webhook deliveries: due now (due) or later (waiting).', ['state'], (own, now) => {
    own.set({ state: 'due' }, now.due)
    own.set({ state: 'waiting' }, now.pending - now.due)
  })
  gauge('oldest_due_seconds', 'Time for which the oldest due delivery has been due, in seconds.', [], (own, now) =>
    own.set(now.oldestDueSeconds),
  )
  gauge('disabled_endpoints', 'Number of disabled endpoints.', [], (own, now) => own.set(now.disabledEndpoints))
  gauge(
    'recent_attempts',
    'Attempts in the last five minutes (at most 2000) by error class; none means success.',
    ['class'],
    (own, now) => {
      for (const item of now.attempts) own.set({ class: item.class }, item.count)
    },
  )
  gauge('lag_seconds', 'Delay between due time and start of the same attempts, in seconds.', ['kind', 'quantile'], (own, now) => {
    for (const { kind, p50Seconds, p99Seconds } of now.lags) {
      own.set({ kind, quantile: '0.5' }, p50Seconds)
      own.set({ kind, quantile: '0.99' }, p99Seconds)
    }
  })
}

function addStorageMetrics(app: App, registers: Registry[]): void {
  const gauge = figureGauges(app, { prefix: 'quayside_storage', noun: 'storage', read: storageFigures, registers })
  gauge('buckets', 'Number of buckets.', [], (own, now) => own.set(now.buckets))
  gauge('objects', 'Number of objects in all buckets.', [], (own, now) => own.set(now.objects))
  gauge('bytes', 'Total size of the objects in all buckets, in bytes.', [], (own, now) => own.set(now.bytes))
}

function addMetrics(server: FastifyInstance, metrics: Metrics): void {
  server.addHook('onResponse', (request, reply, done) => {
    const { path: route } = routeOf(request)
    metrics.requests.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000)
    done()
  })
  server.get('/metrics', { config: { quiet: true } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.print()),
  )
}

function addDraining(server: FastifyInstance, app: App, state: { draining: boolean }, graphql: GraphqlDoor, connections: HttpDrain): void {
  const cut = new AbortController()
  server.addHook('preClose', async () => {
    state.draining = true
    const grace = setTimeout(() => {
      app.log.warn('requests were still in progress at the end of the shutdown grace period and were aborted')
      cut.abort()
      server.server.closeAllConnections()
    }, app.settings.SHUTDOWN_GRACE_MS * graceShare)
    await Promise.all([graphql.stop(cut.signal), connections.drain(cut.signal)])
    clearTimeout(grace)
  })
  server.addHook('onClose', async () => {
    await Promise.all([stopRateLimits(app), flushCallRecords(app)])
  })
}
