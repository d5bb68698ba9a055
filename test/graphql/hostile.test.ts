/** Hostile documents are refused after a bounded amount of work, whatever their size. */
import { Lexer, TypeInfo } from 'graphql'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { schema } from '../../src/graphql/schema.ts'
import { hostileBodies } from '../support/hostile.ts'
import { type Body, key, RawSocket, startServer, type TestServer } from './support.ts'

let api: TestServer
beforeAll(async () => {
  api = await startServer({ schema })
})
afterAll(() => api.close())

/** Counts the work of graphql-js and of JSON.parse while a test runs. */
const counted = () => ({
  /** Tokens and comments read. */
  tokens: vi.spyOn(Lexer.prototype, 'lookahead'),
  /** Nodes visited by validation. */
  nodes: vi.spyOn(TypeInfo.prototype, 'enter'),
  parsed: vi.spyOn(JSON, 'parse'),
})
let work: ReturnType<typeof counted>
beforeEach(() => {
  work = counted()
})
afterEach(() => vi.restoreAllMocks())

const mostTokens = 2_001
/** Validation visits the document a few times. */
const mostNodes = 20 * mostTokens

describe('a hostile body', () => {
  it.each(hostileBodies.map((hostile) => [hostile.name, hostile] as const))('%s is refused', async (_name, { body, code, limit }) => {
    const response = await api.post(body)
    const parsed = work.parsed.mock.calls.filter(([text]) => text.length === body.length).length
    expect(work.tokens.mock.calls.length).toBeLessThanOrEqual(mostTokens)
    expect(work.nodes.mock.calls.length).toBeLessThanOrEqual(mostNodes)
    const { data, errors } = (await response.json()) as Body
    expect(data).toBeUndefined()
    expect([errors![0]!.extensions.code, errors![0]!.extensions.details?.limit ?? null]).toEqual([code, limit])
    expect(errors!.length).toBeLessThanOrEqual(21)
    if (limit === 'characters') expect(work.tokens).not.toHaveBeenCalled()
    if (limit !== null) expect(work.nodes).not.toHaveBeenCalled()
    expect(parsed).toBe(limit?.startsWith('json') ? 0 : 1)
    expect(response.status).toBe(limit === 'jsonValues' ? 413 : limit === 'jsonDepth' ? 400 : 200)
  })

  it('counts work as these tests do', async () => {
    await api.post({ query: '{ __typename # a comment\n }' })
    expect(work.tokens.mock.calls.length).toBeGreaterThanOrEqual(4)
    expect(work.nodes.mock.calls.length).toBeGreaterThanOrEqual(4)
    expect(work.parsed).toHaveBeenCalled()
  })

  it('with too many values closes a WebSocket, even one without a credential, before it is parsed', async () => {
    const socket = await new RawSocket(api.wsUrl).open()
    const message = JSON.stringify({ type: 'connection_init', payload: { list: Array(20_000).fill(0), authorization: `Bearer ${key}` } })
    socket.send(message)
    expect((await socket.closed())[0]).toBe(4400)
    expect(work.parsed.mock.calls.filter(([text]) => text.length === message.length)).toEqual([])
  })
})
