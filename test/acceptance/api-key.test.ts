/** API keys across two server processes: what one of them revokes or rotates, the other refuses, with all that is open there. */
import { createClient } from 'graphql-ws/client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { acceptance, until } from './support.ts'

const world = acceptance()

/** Starts another server process on the same data. Returns the URL of its /graphql. */
async function otherProcess(): Promise<string> {
  const other = world.server.spawn()
  onTestFinished(async () => {
    await other.kill('SIGTERM')
  })
  const url = await until('the other process prints its address', () => /^GraphQL (\S+)$/m.exec(other.output())?.[1])
  await until('the other process is ready', async () => (await fetch(new URL('/readyz', url)).catch(() => null))?.ok)
  return url
}

const statusOf = async (url: string, key: string) => {
  const headers = { 'content-type': 'application/json', 'x-api-key': key }
  return (await fetch(url, { method: 'POST', headers, body: '{"query":"{ viewer { apiKey { id } } }"}' })).status
}

const source = 'subscription { events(types: ["project.created"]) { id } }'

/** A subscription over a WebSocket: the number of its results, and the code that the socket was closed with. */
function overSocket(url: string, key: string) {
  let [results, code] = [0, 0]
  const client = createClient({
    url: url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { apiKey: key },
    retryAttempts: 0,
    on: {
      closed(event) {
        code = (event as CloseEvent).code
      },
    },
  })
  onTestFinished(async () => {
    await client.dispose()
  })
  client.subscribe({ query: source }, { next: () => results++, error() {}, complete() {} })
  return { results: () => results, code: () => code }
}

/** The same over server-sent events: the number of its results, and whether the server has ended it. */
async function overStream(url: string, key: string) {
  const leaving = new AbortController()
  onTestFinished(() => leaving.abort())
  const response = await fetch(url, {
    method: 'POST',
    signal: leaving.signal,
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query: source }),
  })
  let [text, ended] = ['', false]
  const read = async () => {
    for await (const part of response.body!.pipeThrough(new TextDecoderStream())) text += part
  }
  void read()
    .catch(() => {})
    .then(() => {
      ended = true
    })
  return { results: () => text.split('event: next').length - 1, ended: () => ended }
}

describe('with two server processes', () => {
  it('a revoked key, and the text of a rotated one, is refused by both, and what is open with it ends', async () => {
    const url = await otherProcess()
    const create = async (kind: string, scope: string) =>
      (await world.mutate('createApiKey', { name: kind, kind, scope }, 'plaintextKey apiKey { id }')) as {
        plaintextKey: string
        apiKey: { id: string }
      }
    const [revoked, rotated, other] = [await create('PLATFORM', 'READ'), await create('OEC', 'WRITE'), await create('OEC', 'READ')]
    const open = await Promise.all(
      [revoked, rotated, other].map(async ({ plaintextKey }) => ({
        socket: overSocket(url, plaintextKey),
        stream: await overStream(url, plaintextKey),
      })),
    )
    await until('all subscriptions are open', async () => {
      await world.mutate('createProject', { name: 'probe' }, 'project { id }')
      return open.every(({ socket, stream }) => socket.results() > 0 && stream.results() > 0)
    })

    await world.mutate('revokeApiKey', { id: revoked.apiKey.id }, 'apiKey { status }')
    const { plaintextKey } = await world.mutate('rotateApiKey', { id: rotated.apiKey.id, graceMs: 0 }, 'plaintextKey')
    for (const { socket, stream } of open.slice(0, 2)) {
      expect(await until('the socket is closed', socket.code)).toBe(4403)
      await until('the event stream has ended', stream.ended)
    }
    for (const at of [url, world.server.url]) {
      expect([await statusOf(at, revoked.plaintextKey), await statusOf(at, rotated.plaintextKey)]).toEqual([401, 401])
      expect([await statusOf(at, plaintextKey), await statusOf(at, other.plaintextKey)]).toEqual([200, 200])
    }

    const { socket, stream } = open[2]!
    const before = [socket.results(), stream.results()] as const
    await until('the subscriptions of another key go on', async () => {
      await world.mutate('createProject', { name: 'probe' }, 'project { id }')
      return socket.results() > before[0] && stream.results() > before[1]
    })
    expect([socket.code(), stream.ended()]).toEqual([0, false])
  })
})
