import { randomUUID } from 'node:crypto'
import { buildSchema, type GraphQLObjectType } from 'graphql'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { GraphqlContext } from '../../src/graphql/context.ts'
import { errors } from '../../src/platform/errors.ts'
import { until } from '../support/wait.ts'
import { type Body, caller, key, RawSocket, startServer, type TestServer } from './support.ts'

type Event = { n: number }

let api: TestServer
/** Number of times that the field `n` was executed. */
let executed: number
/** Pushes an event, the same object, to all open sources. */
let publish: (event: Event) => void
let sources: Set<(event: Event | null) => void>
let release: () => void

beforeEach(async () => {
  executed = 0
  sources = new Set()
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const schema = buildSchema(/* GraphQL */ `
    type Query { hello: String }
    type Subscription { events(from: Int): Event! }
    type Event { n: Int!, times(factor: Int! = 2): Int!, text(size: Int!): String!, rights: Int!, fails: Int, held: Int }
  `)
  const resolve = (field: string, run: (event: Event, args: Record<string, number>, context: GraphqlContext) => unknown) => {
    ;(schema.getType('Event') as GraphQLObjectType<Event, GraphqlContext>).getFields()[field]!.resolve = run
  }
  resolve('n', ({ n }) => {
    executed++
    return n
  })
  resolve('times', ({ n }, { factor }) => n * factor!)
  resolve('text', (_event, { size }) => 'é'.repeat(size!))
  resolve('rights', (_event, _args, context) => context.caller.permissions.size)
  resolve('fails', () => {
    throw errors.not_found()
  })
  resolve('held', async ({ n }, _args, { signal }) => {
    await held
    signal.throwIfAborted()
    return n
  })
  const field = schema.getSubscriptionType()!.getFields().events!
  field.subscribe = (_root, _args, { signal }: GraphqlContext) => eventsUntil(signal)
  field.resolve = (event) => event
  publish = (event) => sources.forEach((push) => void push(event))
  api = await startServer({ schema, times: { checkCredentialsEveryMs: 50 } })
})
afterEach(() => api.close())

async function* eventsUntil(signal: AbortSignal): AsyncGenerator<Event, void> {
  const queue: (Event | null)[] = []
  let wake = () => {}
  const push = (event: Event | null) => {
    queue.push(event)
    wake()
  }
  signal.addEventListener('abort', () => push(null), { once: true })
  sources.add(push)
  try {
    for (;;) {
      const event = queue.shift()
      if (event === null) return
      if (event) yield event
      else
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
  } finally {
    sources.delete(push)
  }
}

/** A socket with a subscription, by default with an id of its own. */
async function subscriber(query: string, { variables, id = randomUUID(), credential = key }: Options = {}) {
  const socket = new RawSocket(api.wsUrl)
  onTestFinished(() => socket.ws.terminate())
  await socket.init({ authorization: `Bearer ${credential}` })
  const before = sources.size
  socket.subscribe(id, query, variables)
  await until('the source is open', () => sources.size > before)
  const answer = async (times = 1) => (await socket.got('next', id, times)).payload as Body
  return { socket, id, answer }
}
type Options = { variables?: Record<string, unknown>; id?: string; credential?: string }

async function eventStream(query: string) {
  const before = sources.size
  const leave = new AbortController()
  onTestFinished(() => leave.abort())
  const response = await fetch(api.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query }),
    signal: leave.signal,
  })
  await until('the source is open', () => sources.size > before)
  const stream = { text: '' }
  void (async () => {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) stream.text += chunk
  })().catch(() => {})
  return stream
}

describe('an event', () => {
  it('is executed once for all subscriptions of one shape, over sockets and event streams', async () => {
    const query = 'subscription { events { n } }'
    const sockets = [await subscriber(query), await subscriber(query), await subscriber(query, { id: 'own "id"' })]
    const stream = await eventStream(query)
    for (const n of [1, 2, 3]) publish({ n })
    for (const { answer } of sockets)
      expect([await answer(1), await answer(2), await answer(3)]).toEqual([1, 2, 3].map((n) => ({ data: { events: { n } } })))
    await until('the stream has all', () => stream.text.includes('"n":3'))
    expect(stream.text.split('\n').filter((line) => line.startsWith('data'))).toEqual(
      [1, 2, 3].map((n) => `data: {"data":{"events":{"n":${n}}}}`),
    )
    expect(executed).toBe(3)
  })

  it('is shared by subscriptions that began at different places, by a literal or a variable', async () => {
    const query = 'subscription ($from: Int) { events(from: $from) { n } }'
    const first = await subscriber(query, { variables: { from: 1 } })
    const second = await subscriber(query, { variables: { from: 2 } })
    publish({ n: 5 })
    expect([await first.answer(), await second.answer()]).toEqual(Array(2).fill({ data: { events: { n: 5 } } }))
    expect(executed).toBe(1)
  })

  it('has an answer for each selection, each set of variables, each default and each set of rights', async () => {
    api.keys.set('small', caller(new Set(['view:deployments'])))
    const times = (value: string) => `subscription ($factor: Int! = ${value}) { events { times(factor: $factor) } }`
    const subscribers = [
      await subscriber('subscription { events { n } }'),
      await subscriber('subscription { events { number: n } }'),
      await subscriber('subscription { events { ...E } } fragment E on Event { times }'),
      await subscriber(times('3')),
      await subscriber(times('4')),
      await subscriber(times('4'), { variables: { factor: 5 } }),
      await subscriber('subscription { events { rights } }'),
      await subscriber('subscription { events { rights } }', { credential: 'small' }),
    ]
    publish({ n: 10 })
    const answers = await Promise.all(subscribers.map(({ answer }) => answer()))
    expect(answers.map(({ data }) => data!.events)).toEqual([
      { n: 10 },
      { number: 10 },
      { times: 20 },
      { times: 30 },
      { times: 40 },
      { times: 50 },
      { rights: caller().permissions.size },
      { rights: 1 },
    ])
  })

  it('whose fields fail is executed for each subscription, so that its errors have the request ID of their own', async () => {
    const query = 'subscription { events { n fails } }'
    const [first, second] = [await subscriber(query), await subscriber(query)]
    publish({ n: 1 })
    const ids = [await first.answer(), await second.answer()].map(({ data, errors }) => {
      expect(data).toEqual({ events: { n: 1, fails: null } })
      return errors![0]!.extensions.requestId
    })
    expect(new Set(ids).size).toBe(2)
  })

  it('still reaches the others when the subscription that it was executed for ends', async () => {
    const query = 'subscription { events { held } }'
    const [first, second] = [await subscriber(query), await subscriber(query)]
    publish({ n: 7 })
    first.socket.send({ type: 'complete', id: first.id })
    await until('the first source has ended', () => sources.size === 1)
    release()
    expect(await second.answer()).toEqual({ data: { events: { held: 7 } } })
    expect(first.socket.messages.some(({ type }) => type === 'next')).toBe(false)
  })

  it('of any size is one message, in order with the other messages of its socket', async () => {
    const query = 'subscription ($size: Int!) { events { n text(size: $size) } }'
    for (const size of [0, 8_191, 200_000]) {
      const { socket, answer, id } = await subscriber(query, { variables: { size } })
      for (const n of [1, 2]) {
        publish({ n })
        socket.send({ type: 'ping', payload: { n } })
        await socket.got('pong', undefined, n)
        expect(await answer(n)).toEqual({ data: { events: { n, text: 'é'.repeat(size) } } })
      }
      socket.send({ type: 'complete', id })
      await until('the source has ended', () => sources.size === 0)
    }
  })

  it('is sent to readers while another one does not read, and to that one when it reads again', async () => {
    const query = 'subscription { events { n text(size: 100000) } }'
    const [fast, slow] = [await subscriber(query), await subscriber(query)]
    slow.socket.ws.pause()
    for (let n = 1; n <= 60; n++) publish({ n })
    await fast.answer(60)
    slow.socket.ws.resume()
    await slow.answer(60)
    for (const { socket } of [fast, slow])
      expect(socket.messages.flatMap(({ payload }) => (payload as Body)?.data?.events ?? []).map((event) => (event as Event).n)).toEqual(
        Array.from({ length: 60 }, (_, index) => index + 1),
      )
    expect(executed).toBe(60)
  })

  it('is no longer sent to a socket that fails or whose key is revoked, and still to the others', async () => {
    api.keys.set('other', caller())
    const query = 'subscription { events { n } }'
    const [stays, fails, revoked] = [await subscriber(query), await subscriber(query), await subscriber(query, { credential: 'other' })]
    publish({ n: 1 })
    await Promise.all([stays, fails, revoked].map(({ answer }) => answer()))
    fails.socket.ws.terminate()
    api.keys.delete('other')
    expect((await revoked.socket.closed())[0]).toBe(4403)
    await until('both sources have ended', () => sources.size === 1)
    publish({ n: 2 })
    expect(await stays.answer(2)).toEqual({ data: { events: { n: 2 } } })
    expect(revoked.socket.messages.filter(({ type }) => type === 'next')).toHaveLength(1)
  })
})
