/**
 * Outgoing HTTP for webhooks: one POST, sent to the addresses that the egress guard has just checked, on pooled connections.
 * Lives here: the pools, the limits of time and size, and the class of each failure; which URLs are fit is target.ts.
 * No signing, no redirect and no second send: whether an unknown outcome may be repeated is the caller's to say.
 */

import {
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { createSecureContext, getCACertificates, connect as startTls } from 'node:tls'
import type { OutgoingHttp, OutgoingRequest, OutgoingResult } from '../../domain/webhooks/endpoint/ports.ts'
import { EgressError, type EgressGuard } from '../../platform/egress.ts'
import { classify, Failure } from './failure.ts'
import { createProxy, type EgressProxy, ProxyError, type ProxyOptions } from './proxy.ts'
import { judgeTarget, type Target } from './target.ts'

export type HttpOutgoingOptions = {
  guard: EgressGuard
  /** Requests in flight to one origin at its present addresses; further ones wait, within their own timeout. */
  maxSocketsPerOrigin?: number
  /** How long an unused connection is kept. The longer, the likelier that the other side drops it just as we write. */
  idleTimeoutMs?: number
  /** `ca`: PEM of certificate authorities that are trusted besides the usual ones. */
  tls?: { ca?: string }
  /** Requests leave through it; their targets are judged all the same. */
  proxy?: ProxyOptions
}

/**
 * `post` rejects only for our own side: the request's signal (with its reason), `close`, a local lack such as of file descriptors,
 * no route, or a resolver that can't be asked. Whatever the other side does or fails to do is a result. An answer counts as soon as
 * `maxResponseBytes` are read.
 */
export function createHttpOutgoing(options: HttpOutgoingOptions): OutgoingHttp {
  const { guard, maxSocketsPerOrigin = 256, idleTimeoutMs = 4_000, tls } = options
  const proxy = options.proxy && createProxy(options.proxy)
  const pool = {
    keepAlive: true,
    maxSockets: maxSocketsPerOrigin,
    maxFreeSockets: maxSocketsPerOrigin,
    timeout: idleTimeoutMs,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
  }
  const agents = {
    http: new CheckedHttpAgent(pool),
    https: new CheckedHttpsAgent(tls?.ca === undefined ? pool : { ...pool, secureContext: contextTrusting(tls.ca) }),
  }
  const closing = new AbortController()

  return {
    async check(url) {
      try {
        await withinDeadline(CHECK_TIMEOUT_MS, [closing.signal], () => judgeTarget(guard, url))
        return null
      } catch (error) {
        if (error instanceof Failure || error instanceof EgressError) return error.message
        throw error
      }
    },

    async post(request): Promise<OutgoingResult> {
      const startedAt = performance.now()
      const durationMs = () => Math.round(performance.now() - startedAt)
      const givenUp = request.signal ? [closing.signal, request.signal] : [closing.signal]
      try {
        const answer = await withinDeadline(request.timeoutMs, givenUp, async (signal) => {
          refuseUnsafeHeaders(request.headers)
          const target = await judgeTarget(guard, request.url)
          signal.throwIfAborted()
          return await exchange(agents, target, request, signal, proxy?.covers(target.host, target.addresses) ? proxy : undefined)
        })
        return { type: 'response', ...answer, durationMs: durationMs() }
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        return { type: 'failure', errorClass: error.errorClass, message: error.message, durationMs: durationMs() }
      }
    },

    async close() {
      closing.abort(new Error('Outgoing HTTP is closed.'))
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

const CHECK_TIMEOUT_MS = 5_000

/** With Node's 250 ms, a distant but sound first address loses to a second one that leads nowhere. */
const NEXT_ADDRESS_AFTER_MS = 1_000

type CheckedRequestOptions = RequestOptions & { pool?: string; tunnel?: Tunnel }

/** Opens the connection of one request through the proxy. */
type Tunnel = () => Promise<Duplex>

type Opened = (error: Error | null, stream: Duplex) => void

/** A pooled connection is used again only for the very addresses that this request's check gave. */
class CheckedHttpAgent extends HttpAgent {
  override getName(options?: CheckedRequestOptions): string {
    return `${super.getName(options)}|${options?.pool}`
  }

  override createConnection(options: CheckedRequestOptions, opened?: Opened): Duplex | null | undefined {
    return options.tunnel ? openTunnel(options.tunnel, opened) : super.createConnection(options, opened)
  }
}

class CheckedHttpsAgent extends HttpsAgent {
  override getName(options?: CheckedRequestOptions): string {
    return `${super.getName(options)}|${options?.pool}`
  }

  override createConnection(options: CheckedRequestOptions, opened?: Opened): Duplex | null | undefined {
    return options.tunnel ? openTunnel(options.tunnel, opened) : super.createConnection(options, opened)
  }
}

function openTunnel(tunnel: Tunnel, opened?: Opened): undefined {
  tunnel().then(
    (stream) => {
      opened?.(null, stream)
      // It was paused when the proxy had answered; by now somebody is about to read.
      if (stream.isPaused()) stream.resume()
    },
    (error: Error) => opened?.(error, undefined as never),
  )
}

/** Made once: a list of authorities given with each connection would be parsed with each connection. */
function contextTrusting(ca: string) {
  return createSecureContext({ ca: [...getCACertificates('default'), ca] })
}

type Answer = { status: number; headers: Record<string, string>; body: Uint8Array }

/** Rejects with a Failure, or with a local fault as it came. The signal ends the request and its connection. */
function exchange(
  agents: { http: HttpAgent; https: HttpsAgent },
  { url, host, addresses }: Target,
  { headers, body, maxResponseBytes }: OutgoingRequest,
  signal: AbortSignal,
  proxy?: EgressProxy,
): Promise<Answer> {
  const options: CheckedRequestOptions = {
    method: 'POST',
    host,
    port: url.port,
    path: url.pathname + url.search,
    headers: { ...headers, 'content-length': body.byteLength },
    pool: `${proxy ? 'proxy ' : ''}${addresses
      .map(({ address }) => address)
      .toSorted()
      .join()}`,
    ...(proxy ? { tunnel: () => tunnelTo(proxy, { url, host, addresses }, agents.https, signal) } : {}),
    // Node always asks for all of them (autoSelectFamily), and asks nothing when the host is an address: the checked one.
    lookup: (_hostname, _options, callback) => callback(null, addresses),
  }
  return new Promise((resolve, reject) => {
    const request =
      url.protocol === 'https:' ? requestHttps({ ...options, agent: agents.https }) : requestHttp({ ...options, agent: agents.http })
    const fail = (error: Error) =>
      reject(error instanceof Failure || error instanceof ProxyError ? error : classify(error, request.socket, url.host))
    signal.addEventListener('abort', () => request.destroy(), { once: true })
    request.on('error', fail)
    // 101, which nobody asked for: without a listener the request would never end.
    request.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve({ status: response.statusCode ?? 0, headers: flatten(response.headers), body: Buffer.alloc(0) })
    })
    request.on('response', (response) => readAnswer(response, maxResponseBytes).then(resolve, fail))
    request.end(body)
  })
}

/** A connection to the first checked address through the proxy, with TLS in it where the URL says so. */
async function tunnelTo(proxy: EgressProxy, { url, host, addresses }: Target, https: HttpsAgent, signal: AbortSignal): Promise<Duplex> {
  const isTls = url.protocol === 'https:'
  const socket = await proxy.connect({ address: addresses[0]!.address, port: Number(url.port) || (isTls ? 443 : 80) }, signal)
  if (!isTls) return socket
  const { secureContext } = https.options
  return startTls({ socket, servername: isIP(host) === 0 ? host : '', host, ...(secureContext ? { secureContext } : {}) })
}

/** By events: with an async iterator here and Node's `signal` in `exchange`, a fifth fewer requests went through a core. */
function readAnswer(response: IncomingMessage, maxBytes: number): Promise<Answer> {
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
      // Also ends the connection: the rest is never read.
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

/** Framing and addressing are this driver's; a caller's own value could smuggle a second request or name another host. */
const ownHeaders = new Set([
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
    if (ownHeaders.has(name.toLowerCase())) throw new Failure('blocked', `The header ${name} may not be set.`)
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    } catch (cause) {
      throw new Failure('blocked', 'A request header holds a character that is not allowed.', { cause })
    }
  }
}

/** Runs `work` with a signal that aborts when the time is over (a Failure) or when one of `givenUp` does (its reason). */
async function withinDeadline<T>(timeoutMs: number, givenUp: AbortSignal[], work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  for (const signal of givenUp) signal.throwIfAborted()
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(new Failure('timeout', `There was no complete answer within ${timeoutMs} ms.`)), timeoutMs)
  const giveUp = (event: Event) => deadline.abort((event.target as AbortSignal).reason)
  for (const signal of givenUp) signal.addEventListener('abort', giveUp)
  try {
    return await unlessAborted(work(deadline.signal), deadline.signal)
  } finally {
    clearTimeout(timer)
    for (const signal of givenUp) signal.removeEventListener('abort', giveUp)
  }
}

/** The system's resolver can't be stopped, nor hears a request of its abort while it waits for a connection: their results are dropped. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}
