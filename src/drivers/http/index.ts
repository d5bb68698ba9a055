/**
 * Outgoing HTTP for webhooks: one POST, sent to the addresses that the egress guard has just checked.
 * Lives here: the request, the limits of time and size, and whose fault a failure is; connections stand in connection.ts, the class of
 * each failure in failure.ts, which URLs are fit in target.ts. No signing, no redirect, and no second send of what may have arrived,
 * but for one: a kept connection that the other side had dropped before we wrote.
 */

import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp, validateHeaderName, validateHeaderValue } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { OutgoingHttp, OutgoingRequest, OutgoingResult } from '../../domain/webhooks/endpoint/ports.ts'
import { EgressError, type EgressGuard } from '../../platform/egress.ts'
import { PortError } from '../../platform/errors.ts'
import { type Agents, type CheckedRequestOptions, createAgents, onceStanding, tunnelTo } from './connection.ts'
import { classify, Failure, ownFault } from './failure.ts'
import { createProxy, type EgressProxy, type ProxyOptions } from './proxy.ts'
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
 * `post` rejects only for our own side: with the request's signal's reason, after `close`, and with a PortError for a local lack such as
 * of file descriptors, no route, a resolver or a proxy that fails or says nothing. Whatever the other side does or fails to do is a
 * result. An answer counts as soon as `maxResponseBytes` are read.
 */
export function createHttpOutgoing(options: HttpOutgoingOptions): OutgoingHttp {
  const { guard, maxSocketsPerOrigin = 256, idleTimeoutMs = 4_000, tls } = options
  const proxy = options.proxy && createProxy(options.proxy)
  const agents = createAgents({ maxSocketsPerOrigin, idleTimeoutMs, ca: tls?.ca })
  const closing = new AbortController()

  return {
    async check(url) {
      try {
        await withinDeadline(
          CHECK_TIMEOUT_MS,
          [closing.signal],
          () => stageFaults.name(),
          () => judgeTarget(guard, url),
        )
        return null
      } catch (error) {
        if (error instanceof Failure || error instanceof EgressError || error instanceof PortError) return error.message
        throw error
      }
    },

    async post(request): Promise<OutgoingResult> {
      const startedAt = performance.now()
      const durationMs = () => Math.round(performance.now() - startedAt)
      const givenUp = request.signal ? [closing.signal, request.signal] : [closing.signal]
      let stage: Stage = 'name'
      const overdue = () => stageFaults[stage](request.timeoutMs)
      try {
        const answer = await withinDeadline(request.timeoutMs, givenUp, overdue, async (signal) => {
          refuseUnsafeHeaders(request.headers)
          const target = await judgeTarget(guard, request.url)
          signal.throwIfAborted()
          const way: Way = {
            proxy: proxy?.covers(target.host, target.addresses) ? proxy : undefined,
            reach(next) {
              stage = next
              if (next === 'sent') request.onSend?.()
            },
          }
          if (request.fresh) return await exchange(agents.fresh, target, request, signal, way)
          try {
            return await exchange(agents.pooled, target, request, signal, way)
          } catch (error) {
            if (!(error instanceof DroppedConnection)) throw error
            return await exchange(agents.fresh, target, request, signal, way)
          }
        })
        return { type: 'response', ...answer, durationMs: durationMs() }
      } catch (error) {
        if (error instanceof EgressError) throw ownFault('RESOLVER', error.message, error)
        if (!(error instanceof Failure)) throw error
        return { type: 'failure', errorClass: error.errorClass, message: error.message, durationMs: durationMs() }
      }
    },

    async close() {
      closing.abort(new Error('Outgoing HTTP is closed.'))
      agents.destroy()
    },
  }
}

const CHECK_TIMEOUT_MS = 5_000

/** How far a request has come. */
type Stage = 'name' | 'proxy' | 'connection' | 'sent'

const noAnswer = (timeoutMs?: number) => new Failure('timeout', `The endpoint did not send a complete response within ${timeoutMs} ms.`)

/** Whose fault it is when the time is over there. */
const stageFaults: Record<Stage, (timeoutMs?: number) => Error> = {
  name: () => ownFault('RESOLVER', 'The name could not be resolved at present: the DNS resolver does not answer.'),
  proxy: () => ownFault('PROXY', 'The egress proxy did not answer in time.'),
  connection: noAnswer,
  sent: noAnswer,
}

type Way = { proxy: EgressProxy | undefined; reach(stage: Stage): void }

type Answer = { status: number; headers: Record<string, string>; body: Uint8Array }

/** The other side had dropped a kept connection: it gave not one byte of an answer. */
class DroppedConnection extends Error {}

/** Rejects with a Failure, a DroppedConnection, or a fault of our own. The signal ends the request and its connection. */
function exchange(
  agents: Agents,
  target: Target,
  { headers, body, maxResponseBytes }: OutgoingRequest,
  signal: AbortSignal,
  { proxy, reach }: Way,
): Promise<Answer> {
  const { url, host, addresses } = target
  const isTls = url.protocol === 'https:'
  const tunnel = async (through: EgressProxy) => {
    reach('proxy')
    const stream = await tunnelTo(through, target, agents.https, signal)
    reach('connection')
    return stream
  }
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
    ...(proxy ? { tunnel: () => tunnel(proxy) } : {}),
    // Node always asks for all of them (autoSelectFamily), and asks nothing when the host is an address: the checked one. Answered at
    // once, an address that can't be connected to would fail before the socket was anybody's.
    lookup: (_hostname, _options, callback) => void setImmediate(callback, null, addresses),
  }
  reach('connection')
  return new Promise((resolve, reject) => {
    const request = isTls ? requestHttps({ ...options, agent: agents.https }) : requestHttp({ ...options, agent: agents.http })
    let readBefore = 0
    let isStanding = false
    const fail = (error: NodeJS.ErrnoException) => {
      const { socket } = request
      const isDropped = request.reusedSocket && !signal.aborted && socket?.bytesRead === readBefore && dropCodes.has(error.code ?? '')
      if (isDropped) reject(new DroppedConnection('The other side dropped a kept connection.', { cause: error }))
      else reject(classify(error, { socket, isStanding, host: url.host, addresses }))
    }
    signal.addEventListener('abort', () => request.destroy(), { once: true })
    request.on('error', fail)
    request.on('socket', (socket) => {
      readBefore = socket.bytesRead
      onceStanding(socket, isTls, () => {
        isStanding = true
        reach('sent')
      })
    })
    // 101, which nobody asked for: without a listener the request would never end.
    request.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve({ status: response.statusCode ?? 0, headers: flatten(response.headers), body: Buffer.alloc(0) })
    })
    request.on('response', (response) => readAnswer(response, maxResponseBytes).then(resolve, fail))
    request.end(body)
  })
}

const dropCodes = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])

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
    if (ownHeaders.has(name.toLowerCase())) throw new Failure('blocked', `The header ${name} is reserved and cannot be set.`)
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    } catch (cause) {
      throw new Failure('blocked', 'A request header contains a character that is not allowed.', { cause })
    }
  }
}

/** Runs `work` with a signal that aborts when the time is over (what `overdue` gives) or when one of `givenUp` does (its reason). */
async function withinDeadline<T>(
  timeoutMs: number,
  givenUp: AbortSignal[],
  overdue: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (const signal of givenUp) signal.throwIfAborted()
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(overdue()), timeoutMs)
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
