/**
 * A scripted receiver of webhooks on 127.0.0.1, for tests and the demo. It records every request and answers as scripted. It does not
 * verify signatures.
 */

import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export type ReceivedRequest = {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: Buffer
  /** When the last byte arrived. */
  at: Date
}

export type ScriptedAnswer = {
  status: number
  headers?: Record<string, string>
  body?: string | Uint8Array
  /** Delays the answer until this settles. `close` does not wait for it. */
  delayUntil?: Promise<void>
}

/** `n` is the number of the request, starting at 1. */
export type ReceiverScript = (request: ReceivedRequest, n: number) => ScriptedAnswer

export type Receiver = {
  url: string
  /** The requests so far, in order of arrival. */
  requests: ReceivedRequest[]
  /** Waits for a number of requests, or until the predicate accepts them. Rejects on timeout. */
  waitFor(wanted: number | ((requests: ReceivedRequest[]) => boolean), timeoutMs?: number): Promise<ReceivedRequest[]>
  /** Closes open connections and refuses new ones. */
  close(): Promise<void>
}

/** Without a script, every request is answered with 204. */
export async function startReceiver({ script = () => ({ status: 204 }) }: { script?: ReceiverScript } = {}): Promise<Receiver> {
  const requests: ReceivedRequest[] = []
  const watchers = new Set<() => void>()

  const server = createServer(async (incoming, response) => {
    const { method = '', url = '', headers } = incoming
    // A request whose sender disconnects before the body has arrived is not recorded.
    const body = await buffer(incoming).catch(() => null)
    if (body === null) return
    const request = { method, path: url, headers, body, at: new Date() }
    const n = requests.push(request)
    for (const look of watchers) look()
    const answer = script(request, n)
    await answer.delayUntil
    response.writeHead(answer.status, answer.headers).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    waitFor(wanted, timeoutMs = 120_000) {
      const holds = () => (typeof wanted === 'number' ? requests.length >= wanted : wanted(requests))
      if (holds()) return Promise.resolve(requests)
      return new Promise((resolve, reject) => {
        const settle = (outcome: () => void) => {
          clearTimeout(timer)
          watchers.delete(look)
          outcome()
        }
        const look = () => holds() && settle(() => resolve(requests))
        const timer = setTimeout(
          () =>
            settle(() => reject(new Error(`After ${timeoutMs} ms the receiver has ${requests.length} requests, not what was waited for.`))),
          timeoutMs,
        )
        watchers.add(look)
      })
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}
