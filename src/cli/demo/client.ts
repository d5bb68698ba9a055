/** A client of the public API: queries by fetch, subscriptions by graphql-ws, and the router by plain HTTP. */
import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { createClient, type Client as SocketClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import type { Server } from './server.ts'

export type Variables = Record<string, unknown>

type Answer<T> = { data?: T | null; errors?: { message: string; extensions?: { code?: string } }[] }

export type Line = { seq: number; stream: 'STDOUT' | 'STDERR' | 'SYSTEM'; message: string }
export type LogBatch = { lines: Line[]; cursor: string; gap: { lines: number } | null; complete: boolean }

/** A subscription on its own socket. */
export type Following<T> = AsyncIterable<T> & {
  /** Cuts the connection without closing it, as a network failure does. */
  cut(): void
}

export type Client = {
  /** Throws with the first error's code and message. */
  ask<T>(document: string, variables?: Variables): Promise<T>
  follow<T>(document: string, variables?: Variables): Following<T>
  close(): Promise<void>
}

export const logFields = 'lines { seq stream message } cursor gap { lines } complete'

export function openClient({ url, key, organization }: Server): Client {
  const within: Record<string, string> = organization === undefined ? {} : { 'x-org-slug': organization }
  const sockets = new Set<SocketClient>()
  return {
    async ask<T>(document: string, variables: Variables = {}): Promise<T> {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...within },
        body: JSON.stringify({ query: document, variables }),
        signal: AbortSignal.timeout(15_000),
      })
      return dataOf((await answer.json()) as Answer<T>)
    },

    follow<T>(document: string, variables: Variables = {}): Following<T> {
      let opened: WebSocket | undefined
      const socket = createClient({
        url: url.replace(/^http/, 'ws'),
        webSocketImpl: WebSocket,
        connectionParams: { authorization: `Bearer ${key}`, ...within },
        retryAttempts: 0,
        on: {
          connected(connection) {
            opened = connection as WebSocket
          },
        },
      })
      sockets.add(socket)
      return {
        cut: () => opened?.terminate(),
        async *[Symbol.asyncIterator]() {
          try {
            for await (const answer of socket.iterate<T>({ query: document, variables })) yield dataOf<T>(answer as Answer<T>)
          } finally {
            sockets.delete(socket)
            await socket.dispose()
          }
        },
      }
    },

    async close() {
      await Promise.all([...sockets].map((socket) => socket.dispose()))
    },
  }
}

function dataOf<T>({ data, errors }: Answer<T>): T {
  const [error] = errors ?? []
  if (error) throw new Error(`${error.extensions?.code ?? 'error'}: ${error.message}`)
  if (!data) throw new Error('The response of the API contains no data.')
  return data
}

export type Reply = { status: number; body: string; release: string | undefined }

/**
 * Sends a request to a service's URL. Node doesn't resolve `*.localhost`, so it connects to 127.0.0.1 and sends the name in Host. Rejects
 * without a complete response.
 */
export function call(serviceUrl: string, path: string, agent?: Agent): Promise<Reply> {
  const { hostname, host, port } = new URL(serviceUrl)
  const target = hostname.endsWith('.localhost') ? '127.0.0.1' : hostname
  return new Promise((resolve, reject) => {
    const sent = request({ host: target, port: port || 80, path, headers: { host }, agent, timeout: 10_000 }, (answer) => {
      const release = answer.headers['x-quayside-release']
      text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body, release: release?.toString() }), reject)
    })
    sent.once('timeout', () => sent.destroy(new Error('no response within 10 s')))
    sent.once('error', reject)
    sent.end()
  })
}

export type Traffic = {
  /** Number of responses so far, by body. */
  bodies: Map<string, number>
  failures: string[]
  count(): number
  /** Stops, and resolves when the requests in flight have ended. */
  stop(): Promise<void>
}

/** Four clients that each send the next request 5 ms after the last response. Anything but 200 counts as a failure. */
export function startTraffic(serviceUrl: string): Traffic {
  const agent = new Agent({ keepAlive: true })
  const traffic = { bodies: new Map<string, number>(), failures: [] as string[], sent: 0 }
  let goesOn = true
  const callers = Array.from({ length: 4 }, async () => {
    while (goesOn) {
      traffic.sent++
      const { status, body } = await call(serviceUrl, '/', agent).catch((error: Error) => ({ status: 0, body: error.message }))
      if (status === 200) traffic.bodies.set(body.trim(), (traffic.bodies.get(body.trim()) ?? 0) + 1)
      else traffic.failures.push(`${status} ${body.trim()}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })
  return {
    bodies: traffic.bodies,
    failures: traffic.failures,
    count: () => traffic.sent,
    async stop() {
      goesOn = false
      await Promise.all(callers)
      agent.destroy()
    },
  }
}
