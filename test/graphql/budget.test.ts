import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { costPolicy } from '../../src/graphql/budget.ts'
import { shiftClock } from '../support/database.ts'
import { until } from '../support/wait.ts'
import { type Body, caller, RawSocket, startServer, type TestServer } from './support.ts'

let api: TestServer
const pointsPerMinute = costPolicy.perMinute
let wall = Date.parse('2026-01-31T12:00:00Z')
let elapsedMs = 0
/** Lets time pass for the server and its database. */
async function pass(ms: number) {
  await shiftClock(api.databaseUrl, elapsedMs + ms)
  elapsedMs += ms
}
beforeAll(async () => {
  api = await startServer()
  api.app.clock = { now: () => new Date(wall), elapsedMs: () => elapsedMs }
  for (const [index, key] of ['one', 'two', 'three', 'socket', 'back', 'forward', 'shown'].entries()) {
    const id = `0190a6c8-0000-7000-8000-0000000000${index + 10}`
    api.keys.set(key, { ...caller(), subject: { type: 'api_key', id, name: key } })
  }
})
afterAll(() => api.close())

const large = `{ ${[0, 1].map((n) => `a${n}: items(first: 100) { nodes { items(first: 90) { nodes { id } } } }`).join(' ')} }`
const largeCost = 18_402
const largeOnes = Math.floor(pointsPerMinute / largeCost)
const ask = (key: string, query: string) => api.post({ query }, { authorization: `Bearer ${key}` })
async function useUp(key: string): Promise<Response> {
  for (let n = 0; n < largeOnes; n++) {
    const response = await ask(key, large)
    expect({ n, status: response.status }).toEqual({ n, status: 200 })
    await response.text()
  }
  return ask(key, large)
}

describe('the cost budget of a key per minute', () => {
  it('answers 429 with Retry-After once it is used up, for this key only; operations without cost still pass', async () => {
    const refused = await useUp('one')
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await refused.json()).toMatchObject({
      errors: [
        {
          message: 'At most 3000000 points of cost per minute are allowed.',
          extensions: { code: 'rate_limited', kind: 'rate_limited', details: { limit: 'costAMinute', maximum: pointsPerMinute } },
        },
      ],
    })
    expect((await ask('two', large)).status).toBe(200)
    expect(((await (await ask('one', '{ hello }')).json()) as Body).data).toEqual({ hello: 'world' })
  })

  it('is shown in the headers once a quarter is used, and when it is used up', async () => {
    const shown = ({ headers }: Response) => [headers.get('ratelimit-policy'), headers.get('ratelimit')]
    expect(shown(await ask('shown', '{ hello }'))).toEqual([null, null])
    const quarter = Math.ceil(largeOnes / 4)
    for (let n = 0; n < quarter; n++) await (await ask('shown', large)).text()
    const [policy, state] = shown(await ask('shown', '{ hello }'))
    expect(policy).toBe('"graphql";q=3000000;w=60;qu="points"')
    expect(Number(/^"graphql";r=(\d+);t=\d+$/.exec(state!)?.[1])).toBe(pointsPerMinute - quarter * largeCost)
    for (let n = quarter; n < largeOnes; n++) await (await ask('shown', large)).text()
    const refused = await ask('shown', large)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('ratelimit')).toMatch(/^"graphql";r=\d+;t=\d+$/)
  })

  it('refills evenly, at the rate that Retry-After states', async () => {
    const refused = await useUp('three')
    await pass(Number(refused.headers.get('retry-after')) * 1_000)
    expect((await ask('three', large)).status).toBe(200)
    await pass(60_000)
    expect((await useUp('three')).status).toBe(429)
  })

  it.each([-1, 1])('neither blocks nor refills when the wall clock is shifted by %i h', async (hours) => {
    const key = hours < 0 ? 'back' : 'forward'
    await useUp(key)
    wall += hours * 3_600_000
    const refused = await ask(key, large)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    await pass(60_000)
    expect((await ask(key, large)).status).toBe(200)
  })

  it('is shared with WebSocket operations', async () => {
    await useUp('socket')
    const socket = await new RawSocket(api.wsUrl).init({ authorization: 'Bearer socket' })
    socket.subscribe('1', large)
    await until('the operation is refused', () => socket.messages.some(({ type }) => type === 'error' || type === 'next'))
    expect(socket.messages.at(-1)).toMatchObject({ type: 'error', id: '1', payload: [{ extensions: { code: 'rate_limited' } }] })
    socket.ws.close()
    await socket.closed()
  })
})
