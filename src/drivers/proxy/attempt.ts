import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { RawHeaders } from './header.ts'

export type AttemptOptions = {
  address: { host: string; port: number }
  /** False: a connection of its own, used once. */
  agent: Agent | false
  method: string
  path: string
  headers: RawHeaders
  /** Not touched before the connection stands; piped, never kept. */
  body: IncomingMessage | null
  connectTimeoutMs: number
  /** Without a byte in either direction, until the answer begins. */
  idleTimeoutMs: number
  signal: AbortSignal
  onContinue: () => void
}

export type Attempt =
  | { type: 'answered'; upstream: ClientRequest; response: IncomingMessage }
  | { type: 'upgraded'; response: IncomingMessage; socket: Duplex; head: Buffer }
  /** `sent`: the instance may have seen something of the request. `reused`: on a connection that had served before. `timedOut`: who kept the other waiting. */
  | { type: 'failed'; sent: boolean; reused: boolean; timedOut: 'no' | 'client' | 'upstream' }

/**
 * Sends one request to one instance and waits for the beginning of its answer; throws only where node refuses to write such a request. `onDone` is called once, when
 * nothing of it is under way any more (for an upgraded one: at the upgrade).
 */
export function attempt(options: AttemptOptions, onDone: () => void): Promise<Attempt> {
  return new Promise((resolve) => {
    let sent = false
    let timedOut: 'no' | 'client' | 'upstream' = 'no'
    let upstream: ClientRequest
    try {
      upstream = httpRequest({
        host: options.address.host,
        port: options.address.port,
        agent: options.agent,
        method: options.method,
        path: options.path,
        headers: options.headers,
        timeout: options.idleTimeoutMs,
        setHost: false,
        maxHeaderSize: 65_536,
      })
    } catch (error) {
      onDone()
      throw error
    }
    const connectTimer = setTimeout(() => upstream.destroy(new Error('connect timeout')), options.connectTimeoutMs)
    const abort = () => upstream.destroy()
    options.signal.addEventListener('abort', abort)

    upstream.on('socket', (socket) => {
      const begin = () => {
        clearTimeout(connectTimer)
        sent = true
        if (options.body !== null) pipeBody(options.body, upstream)
      }
      if (socket.connecting) socket.once('connect', begin)
      else begin()
    })
    upstream.on('continue', options.onContinue)
    upstream.on('timeout', () => {
      const bodyMissing = options.body !== null && !options.body.complete && !upstream.writableNeedDrain
      timedOut = bodyMissing ? 'client' : 'upstream'
      upstream.destroy(new Error('no answer in time'))
    })
    upstream.on('response', (response) => {
      upstream.setTimeout(0)
      resolve({ type: 'answered', upstream, response })
    })
    upstream.on('upgrade', (response, socket, head) => {
      socket.setTimeout(0)
      resolve({ type: 'upgraded', response, socket, head })
    })
    upstream.on('error', () => {})
    upstream.on('close', () => {
      clearTimeout(connectTimer)
      options.signal.removeEventListener('abort', abort)
      if (sent && options.body !== null) {
        // What the instance didn't want must still be read, or the client's connection never gets to its next request.
        options.body.unpipe(upstream)
        options.body.resume()
      }
      // Does nothing where the answer has begun.
      resolve({ type: 'failed', sent, reused: upstream.reusedSocket, timedOut })
      onDone()
    })
    if (options.body === null) upstream.end()
    if (options.signal.aborted) abort()
  })
}

function pipeBody(body: IncomingMessage, upstream: ClientRequest): void {
  body.once('end', () => {
    if (upstream.destroyed) return
    const trailers = pairs(body.rawTrailers)
    if (trailers.length > 0) upstream.addTrailers(trailers)
    upstream.end()
  })
  body.pipe(upstream, { end: false })
}

export function pairs(raw: RawHeaders): [string, string][] {
  const list: [string, string][] = []
  for (let i = 0; i + 1 < raw.length; i += 2) list.push([raw[i]!, raw[i + 1]!])
  return list
}
