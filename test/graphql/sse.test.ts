import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { pause } from '../../src/platform/clock.ts'
import { until } from '../support/wait.ts'
import { caller, key, startServer, type TestServer } from './support.ts'

let api: TestServer
beforeEach(async () => {
  api = await startServer({ times: { checkCredentialsEveryMs: 50, beatEveryMs: 20 } })
})
afterEach(() => api.close())

type Event = { event: string; id?: string; data: string }

const parse = (text: string): Event[] =>
  text
    .split('\n\n')
    .filter((block) => block !== '' && !block.startsWith(':'))
    .map((block) => {
      const fields = Object.fromEntries(
        block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      )
      return fields as Event
    })

const ask = (query: string, headers: Record<string, string> = {}, variables?: unknown) =>
  api.post({ query, variables }, { accept: 'text/event-stream', ...headers })
const events = async (query: string, headers?: Record<string, string>, variables?: unknown) =>
  parse(await (await ask(query, headers, variables)).text())

/** An open stream that is read continuously into `text`. */
async function stream(query: string) {
  const leave = new AbortController()
  const response = await fetch(api.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query }),
    signal: leave.signal,
  })
  const open = { text: '', ended: false, failed: false, leave: () => leave.abort() }
  void (async () => {
    const decoder = new TextDecoder()
    try {
      for await (const chunk of response.body!) open.text += decoder.decode(chunk, { stream: true })
      open.ended = true
    } catch {
      open.failed = true
    }
  })()
  onTestFinished(open.leave)
  return open
}

describe('a subscription over server-sent events', () => {
  it('sends next with the cursor as id, then complete', async () => {
    const response = await ask('subscription { ticks(count: 2) { n } }')
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
    expect(response.headers.get('x-request-id')).toMatch(/^[\w-]+$/)
    expect(parse(await response.text())).toEqual([
      { event: 'next', id: 'c1', data: '{"data":{"ticks":{"n":1}}}' },
      { event: 'next', id: 'c2', data: '{"data":{"ticks":{"n":2}}}' },
      { event: 'complete', id: 'complete', data: '' },
    ])
  })
  it('works by GET, as with EventSource', async () => {
    const response = await fetch(`${api.url}?query=${encodeURIComponent('subscription { ticks(count: 1) { n } }')}`, {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${key}` },
    })
    expect(parse(await response.text()).map((event) => event.event)).toEqual(['next', 'complete'])
  })
  it.each(['*/*', 'text/*', 'application/json, */*', 'text/event-stream;q=0, */*'])(
    'is answered with 406 for a client that does not accept event streams: %s',
    async (accept) => {
      const before = api.probe.opened
      const response = await api.post({ query: 'subscription { ticks(count: 1) { n } }' }, { accept })
      expect([response.status, response.headers.get('content-type')]).toEqual([406, 'application/json; charset=utf-8'])
      expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'invalid_input' } }] })
      expect(api.probe.opened).toBe(before)
    },
  )
  it('is sent to a client that accepts event streams among others', async () => {
    const response = await api.post({ query: 'subscription { ticks(count: 1) { n } }' }, { accept: 'application/json, text/event-stream' })
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    await response.text()
  })
  it.each([
    ['an absent argument', 'subscription { ticks(count: 1) { n } }', undefined],
    ['a literal', 'subscription { ticks(after: "c2", count: 1) { n } }', undefined],
    ['a variable', 'subscription ($after: String) { ticks(after: $after, count: 1) { n } }', { after: 'c2' }],
    [
      'a literal in a fragment',
      'subscription { ...T } fragment T on Subscription { ... { ticks(after: "c2", count: 1) { n } } }',
      undefined,
    ],
  ])('starts after Last-Event-ID instead of %s', async (_name, query, variables) => {
    expect((await events(query, { 'last-event-id': 'c7' }, variables))[0]).toMatchObject({ id: 'c8' })
  })
  it('is answered with 204 for a client that reconnects after complete, so that an EventSource stops', async () => {
    for (const query of ['subscription { ticks(count: 1) { n } }', 'subscription { silent { n } }']) {
      const response = await ask(query, { 'last-event-id': 'complete' })
      expect([response.status, await response.text()]).toEqual([204, ''])
    }
    expect(api.probe.opened).toBe(0)
  })
  it.each(['ticks(count: 0) { n }', 'told { n }'])('answers 204 to a client that has received everything: %s', async (field) => {
    const response = await ask(`subscription { ${field} }`, { 'last-event-id': 'c3' })
    expect([response.status, await response.text()]).toEqual([204, ''])
    await until('the source has ended', () => api.probe.open === 0)
  })
  it('continues for a client that reconnects while there is nothing to send', async () => {
    const leave = new AbortController()
    onTestFinished(() => leave.abort())
    const response = await fetch(api.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${key}`, 'last-event-id': 'c3' },
      body: '{"query":"subscription { stubborn { n } }"}',
      signal: leave.signal,
    })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
  })
  it('a client that reconnects while the server stops is not told to stop', async () => {
    const asked = ask('subscription { stubborn { n } }', { 'last-event-id': 'c3' })
    await until('the source is open', () => api.probe.open === 1)
    await api.close()
    expect((await asked).status).toBe(200)
  })
  it('sends the masked error of a source that fails, and completes without an id, so that its client reconnects', async () => {
    const told = await events('subscription { failing { n } }')
    expect(told.map((event) => event.event)).toEqual(['next', 'next', 'complete'])
    expect(JSON.parse(told[1]!.data)).toMatchObject({ errors: [{ extensions: { code: 'internal', requestId: expect.any(String) } }] })
    expect(told[1]!.data).not.toContain('hunter2')
    expect(told[2]).not.toHaveProperty('id')
  })
  it.each([
    ['a domain error', 'subscription { refused { n } }', 'not_found'],
    ['a document that is not valid', 'subscription { nothing }', 'graphql_validation_failed'],
    ['a limit', `subscription { ${'ticks { n } '.repeat(21)} }`, 'query_limit_exceeded'],
  ])('sends %s as next and completes', async (_name, query, code) => {
    const told = await events(query)
    expect(told.map((event) => event.event)).toEqual(['next', 'complete'])
    expect(JSON.parse(told[0]!.data)).toMatchObject({ errors: [{ extensions: { code } }] })
    expect(told[1]).toMatchObject({ id: 'complete' })
  })
  it('is refused with 401 as JSON without a key', async () => {
    const response = await ask('subscription { ticks { n } }', { authorization: 'Bearer other' })
    expect([response.status, response.headers.get('content-type')]).toEqual([401, 'application/json; charset=utf-8'])
  })
})

it('a query is answered as events only to a client that does not accept JSON', async () => {
  expect(await events('{ hello }')).toEqual([
    { event: 'next', data: '{"data":{"hello":"world"}}' },
    { event: 'complete', id: 'complete', data: '' },
  ])
  const both = await ask('{ hello }', { accept: 'application/json, text/event-stream' })
  expect(await both.json()).toEqual({ data: { hello: 'world' } })
})

it('an idle stream sends heartbeats, so that intermediaries keep it open', async () => {
  const open = await stream('subscription { silent { n } }')
  await until('three beats', () => open.text.split(':\n\n').length > 4)
})

describe('a client', () => {
  it.each(['silent', 'stubborn'])('that disconnects ends its source (%s) at once', async (field) => {
    const open = await stream(`subscription { ${field} { n } }`)
    await until('the source is open', () => api.probe.open === 1)
    open.leave()
    await until('the source has ended', () => api.probe.open === 0)
  })
  it('that does not read uses no memory: the source waits for it', async () => {
    const socket: Socket = connect(Number(new URL(api.url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    socket.pause()
    const body = JSON.stringify({ query: 'subscription { endless(bytes: 100000) { text } }' })
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await until('the first values are pulled', () => api.probe.pulled > 0)
    const rested = await restingValue(() => api.probe.pulled)
    // Upper bound of two kernel buffers, in messages of 100 KB.
    expect(rested).toBeLessThan(200)
    socket.resume()
    await until('the source goes on when it is read', () => api.probe.pulled > rested + 20)
    socket.destroy()
    await until('the source has ended', () => api.probe.open === 0)
  })
  it('is disconnected when its key is revoked, and gets 401 when it reconnects', async () => {
    const open = await stream('subscription { silent { n } }')
    await until('the source is open', () => api.probe.open === 1)
    api.keys.delete(key)
    api.app.wake.notify('credentials')
    await until('the stream ended', () => open.ended && api.probe.open === 0)
    expect(open.text).not.toContain('complete')
    expect((await ask('subscription { silent { n } }')).status).toBe(401)
  })
  it('is disconnected when its key loses a permission', async () => {
    const open = await stream('subscription { silent { n } }')
    await until('the source is open', () => api.probe.open === 1)
    api.keys.set(key, caller(new Set(['view:projects'])))
    await until('the stream ended', () => open.ended)
  })
  it('is disconnected without complete when the server stops, so that it reconnects', async () => {
    const open = await stream('subscription { silent { n } }')
    await until('the first value came', () => open.text.includes('event: next'))
    await api.close()
    await until('the stream ended', () => open.ended)
    expect([open.text.includes('complete'), api.probe.open]).toEqual([false, 0])
  })
})

/** The value of a counter once it has stopped growing. Fails if it doesn't stop. */
async function restingValue(read: () => number): Promise<number> {
  let [last, same] = [read(), 0]
  await until('it rests', () => {
    const now = read()
    same = now === last ? same + 1 : 0
    last = now
    return same > 50
  })
  await pause(0)
  return last
}
