/**
 * Outgoing HTTP for webhooks, calls of Odoo and certificate authorities: one request, sent to the addresses that the egress guard has just checked.
 * This file contains the request and its limits of time and size. See connection.ts for connections, failure.ts for the classification of
 * failures, and target.ts for the URLs that are allowed. Does not sign, and does not follow redirects. Does not repeat a request that may
 * have arrived, with one exception: the receiver dropped a kept connection, and the request does not say `once`.
 */
import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp, validateHeaderName, validateHeaderValue } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { OutgoingHttp, OutgoingRequest, OutgoingResult } from '../../domain/webhooks/endpoint/ports.ts'
import { EgressError, type EgressGuard } from '../../platform/egress.ts'
import { PortError } from '../../platform/errors.ts'
import { type Agents, type CheckedRequestOptions, createAgents, onceConnected, tunnelTo } from './connection.ts'
import { classify, Failure, localFault } from './failure.ts'
import { createProxy, type EgressProxy, type ProxyOptions } from './proxy.ts'
import { checkTarget, createTargets, type Target } from './target.ts'

export type HttpOutgoingOptions = {
  guard: EgressGuard
  /** Maximum number of requests in flight to one origin at its current addresses. Further requests wait, within their own timeout. */
  maxSocketsPerOrigin?: number
  /** How long an unused connection is kept. The longer, the likelier the receiver drops it just as a request is written. */
  idleTimeoutMs?: number
  /** `ca` is the PEM of certificate authorities to trust in addition to the default ones. */
  tls?: { ca?: string }
  /** Proxy to send requests through. Their targets are checked all the same. */
  proxy?: ProxyOptions
  /** How long the checked addresses of a URL are used for further requests. */
  keepTargetsMs?: number
}

/**
 * `post` and `get` reject only for local reasons: with the reason of the request's signal, after `close`, and with a PortError for a local fault,
 * such as a lack of file descriptors, a missing route, or a resolver or proxy that fails or does not respond. Everything that the receiver
 * causes is a result. A response is complete as soon as `maxResponseBytes` are read.
 */
export function createHttpOutgoing(options: HttpOutgoingOptions): OutgoingHttp {
  const { guard, maxSocketsPerOrigin = 256, idleTimeoutMs = 4_000, keepTargetsMs = 1_000, tls } = options
  const proxy = options.proxy && createProxy(options.proxy)
  const agents = createAgents({ maxSocketsPerOrigin, idleTimeoutMs, ca: tls?.ca })
  const targetOf = createTargets(guard, keepTargetsMs)
  const closing = new AbortController()

  return {
    async check(url) {
      try {
        await withinDeadline(
          CHECK_TIMEOUT_MS,
          [closing.signal],
          () => timeoutErrors.name(),
          () => checkTarget(guard, url),
        )
        return null
      } catch (error) {
        if (error instanceof Failure || error instanceof EgressError || error instanceof PortError) return error.message
        throw error
      }
    },

    post: (request) => send('POST', request),
    get: (request) => send('GET', { ...request, body: new Uint8Array() }),

    async close() {
      closing.abort(new Error('Outgoing HTTP is closed.'))
      agents.destroy()
    },
  }

  async function send(method: Method, request: OutgoingRequest): Promise<OutgoingResult> {
    const startedAt = performance.now()
    const durationMs = () => Math.round(performance.now() - startedAt)
    const signals = request.signal ? [closing.signal, request.signal] : [closing.signal]
    let stage: Stage = 'name'
    const timeoutError = () => timeoutErrors[stage](request.timeoutMs)
    try {
      const response = await withinDeadline(request.timeoutMs, signals, timeoutError, async (signal) => {
        refuseUnsafeHeaders(request.headers)
        const target = await targetOf(request.url)
        signal.throwIfAborted()
        const route: Route = {
          proxy: proxy?.covers(target.host, target.addresses) ? proxy : undefined,
          enter(next) {
            stage = next
            if (next === 'sent') request.onSend?.()
          },
        }
        if (request.fresh) return await exchange(agents.fresh, target, { ...request, method }, signal, route)
        try {
          return await exchange(agents.pooled, target, { ...request, method }, signal, route)
        } catch (error) {
          if (!(error instanceof DroppedConnection)) throw error
          if (request.once) throw new Failure('reset', error.message, { cause: error })
          return await exchange(agents.fresh, target, { ...request, method }, signal, route)
        }
      })
      return { type: 'response', ...response, durationMs: durationMs() }
    } catch (error) {
      if (error instanceof EgressError) throw localFault('RESOLVER', error.message, error)
      if (!(error instanceof Failure)) throw error
      return { type: 'failure', errorClass: error.errorClass, message: error.message, durationMs: durationMs() }
    }
  }
}

const CHECK_TIMEOUT_MS = 5_000

type Method = 'GET' | 'POST'

/** Progress of a request. */
type Stage = 'name' | 'proxy' | 'connection' | 'sent'

const responseTimeout = (timeoutMs?: number) =>
  new Failure('timeout', `The endpoint did not send a complete response within ${timeoutMs} ms.`)

/** The error for a timeout in each stage. */
const timeoutErrors: Record<Stage, (timeoutMs?: number) => Error> = {
  name: () => localFault('RESOLVER', 'The name could not be resolved at present: the DNS resolver does not answer.'),
  proxy: () => localFault('PROXY', 'The egress proxy did not answer in time.'),
  connection: responseTimeout,
  sent: responseTimeout,
}

type Route = { proxy: EgressProxy | undefined; enter(stage: Stage): void }

type ResponseParts = { status: number; headers: Record<string, string>; body: Uint8Array }

/** The other server dropped a kept connection before the first byte of a response. */
class DroppedConnection extends Error {}

/** Rejects with a Failure, a DroppedConnection or a local fault. The signal ends the request and its connection. */
function exchange(
  agents: Agents,
  target: Target,
  { method, headers, body, maxResponseBytes }: OutgoingRequest & { method: Method },
  signal: AbortSignal,
  { proxy, enter }: Route,
): Promise<ResponseParts> {
  const { url, host, addresses, addressKey } = target
  const isTls = url.protocol === 'https:'
  const tunnel = async (through: EgressProxy) => {
    enter('proxy')
    const stream = await tunnelTo(through, target, agents.https, signal)
    enter('connection')
    return stream
  }
  const options: CheckedRequestOptions = {
    method,
    host,
    port: url.port,
    path: url.pathname + url.search,
    headers: method === 'GET' ? headers : { ...headers, 'content-length': body.byteLength },
    pool: proxy ? `proxy ${addressKey}` : addressKey,
    ...(proxy ? { tunnel: () => tunnel(proxy) } : {}),
    // Node always looks up all addresses (autoSelectFamily), and none if the host is itself the checked address. Asynchronous, because
    // otherwise an address that cannot be connected to would fail before the socket has an error listener.
    lookup: (_hostname, _options, callback) => void setImmediate(callback, null, addresses),
  }
  enter('connection')
  return new Promise((resolve, reject) => {
    const request = isTls ? requestHttps({ ...options, agent: agents.https }) : requestHttp({ ...options, agent: agents.http })
    let readBefore = 0
    let wasConnected = false
    const fail = (error: NodeJS.ErrnoException) => {
      const { socket } = request
      const isDropped = request.reusedSocket && !signal.aborted && socket?.bytesRead === readBefore && dropCodes.has(error.code ?? '')
      if (isDropped) reject(new DroppedConnection('The other server dropped a kept connection.', { cause: error }))
      else reject(classify(error, { socket, wasConnected, host: url.host, addresses }))
    }
    signal.addEventListener('abort', () => request.destroy(), { once: true })
    request.on('error', fail)
    request.on('socket', (socket) => {
      readBefore = socket.bytesRead
      onceConnected(socket, isTls, () => {
        wasConnected = true
        enter('sent')
      })
    })
    // An unsolicited 101. Without a listener, the request would never end.
    request.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve({ status: response.statusCode ?? 0, headers: flatten(response.headers), body: Buffer.alloc(0) })
    })
    request.on('response', (response) => readResponse(response, maxResponseBytes).then(resolve, fail))
    request.end(body)
  })
}

const dropCodes = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])

/** Uses events, because an async iterator here and Node's `signal` in `exchange` reduced the throughput of a core by a fifth. */
function readResponse(response: IncomingMessage, maxBytes: number): Promise<ResponseParts> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const finish = () => resolve({ status: response.statusCode ?? 0, headers: flatten(response.headers), body: Buffer.concat(chunks) })
    response.on('data', (chunk: Buffer) => {
      if (size > maxBytes) return
      chunks.push(chunk.subarray(0, maxBytes - size))
      size += chunk.length
      if (size <= maxBytes) return
      finish()
      // Also ends the connection, so that the rest is never read.
      response.destroy()
    })
    response.on('end', finish)
    response.on('error', reject)
  })
}

function flatten(headers: IncomingHttpHeaders): Record<string, string> {
  const flat: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) flat[name] = Array.isArray(value) ? value.join(', ') : (value ?? '')
  return flat
}

/** Headers for framing and addressing. A caller's value could smuggle a second request or name another host. */
const reservedHeaders = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'expect',
  'te',
  'trailer',
])

function refuseUnsafeHeaders(headers: Record<string, string>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (reservedHeaders.has(name.toLowerCase())) throw new Failure('blocked', `The header ${name} is reserved and cannot be set.`)
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    } catch (cause) {
      throw new Failure('blocked', 'A request header contains a character that is not allowed.', { cause })
    }
  }
}

/** Runs `work` with a signal that aborts at the timeout, with `timeoutError`, or when one of `signals` does, with its reason. */
async function withinDeadline<T>(
  timeoutMs: number,
  signals: AbortSignal[],
  timeoutError: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (const signal of signals) signal.throwIfAborted()
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(timeoutError()), timeoutMs)
  const abort = (event: Event) => deadline.abort((event.target as AbortSignal).reason)
  for (const signal of signals) signal.addEventListener('abort', abort)
  try {
    return await unlessAborted(work(deadline.signal), deadline.signal)
  } finally {
    clearTimeout(timer)
    for (const signal of signals) signal.removeEventListener('abort', abort)
  }
}

/** Settles on abort even where `work` cannot: the system resolver cannot be cancelled, nor can a request that waits for a connection. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}
