import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { RawHeaders } from './header.ts'

export type AttemptOptions = {
  address: { host: string; port: number }
  /** False for a separate connection that is used once. */
  agent: Agent | false
  method: string
  path: string
  headers: RawHeaders
  /** Not read before the connection is established. Piped, never buffered. */
  body: IncomingMessage | null
  connectTimeoutMs: number
  /** Maximum time without a byte in either direction. Applies until the response begins. */
  idleTimeoutMs: number
  signal: AbortSignal
  onContinue: () => void
}

export type Attempt =
  | { type: 'answered'; upstream: ClientRequest; response: IncomingMessage }
  | { type: 'upgraded'; response: IncomingMessage; socket: Duplex; head: Buffer }
  /**
   * `sent`: the instance may have received part of the request. `reused`: the connection had served an earlier request. `timedOut`: which
   * side did not send in time.
   */
  | { type: 'failed'; sent: boolean; reused: boolean; timedOut: 'no' | 'client' | 'upstream' }

/**
 * Sends one request to one instance and waits for the beginning of the response. Throws only if Node refuses to write the request.
 * `onDone` is called once, when the exchange is complete or, for an upgraded connection, at the upgrade.
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
      const onConnected = () => {
        clearTimeout(connectTimer)
        sent = true
        if (options.body !== null) pipeBody(options.body, upstream)
      }
      if (socket.connecting) socket.once('connect', onConnected)
      else onConnected()
    })
    upstream.on('continue', options.onContinue)
    upstream.on('timeout', () => {
      const bodyMissing = options.body !== null && !options.body.complete && !upstream.writableNeedDrain
      timedOut = bodyMissing ? 'client' : 'upstream'
      upstream.destroy(new Error('no response in time'))
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
        // The rest of the body must be read, or the client's connection never reaches its next request.
        options.body.unpipe(upstream)
        options.body.resume()
      }
      // No effect if the response has begun.
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
