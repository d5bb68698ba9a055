/**
 * A scripted receiver of webhooks on 127.0.0.1, for tests and the demo: it records every request and answers as told.
 * It verifies nothing: who uses it does.
 */

import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export type ReceivedRequest = {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: Buffer
  /** When its last byte had arrived. */
  at: Date
}

export type ScriptedAnswer = {
  status: number
  headers?: Record<string, string>
  body?: string | Uint8Array
  /** Nothing is answered before this settles; `close` doesn't wait for it. */
  delayUntil?: Promise<void>
}

/** `n` counts the requests from 1. */
export type ReceiverScript = (request: ReceivedRequest, n: number) => ScriptedAnswer

export type Receiver = {
  url: string
  /** In the order of arrival; grows. */
  requests: ReceivedRequest[]
  /** Waits for so many requests, or until the predicate holds of them; rejects when the time is over. */
  waitFor(wanted: number | ((requests: ReceivedRequest[]) => boolean), timeoutMs?: number): Promise<ReceivedRequest[]>
  /** Cuts what is open; afterwards connections are refused. */
  close(): Promise<void>
}

/** Without a script every request is answered 204. */
export async function startReceiver({ script = () => ({ status: 204 }) }: { script?: ReceiverScript } = {}): Promise<Receiver> {
  const requests: ReceivedRequest[] = []
  const watchers = new Set<() => void>()

  const server = createServer(async (incoming, response) => {
    const { method = '', url = '', headers } = incoming
    // A sender that hangs up before its body has arrived has sent no request.
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
