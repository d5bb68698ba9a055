/** A plain POST is read without Yoga, and everything is answered as if Yoga had read it. */
import fc from 'fast-check'
import type { FastifyRequest } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createYogaReader, isFault, plainParams } from '../../src/graphql/parameters.ts'
import { startServer, type TestServer, testSchema } from './support.ts'

let api: TestServer
beforeAll(async () => {
  api = await startServer()
})
afterAll(() => api.close())

describe('a body', () => {
  const probe = { open: 0, opened: 0, pulled: 0, slowBegun: 0, slowAborted: 0, calls: 0 }
  const readByYoga = createYogaReader(testSchema(probe), '/graphql')
  const byYoga = (body: string) => readByYoga({ method: 'POST', url: '/graphql', body } as FastifyRequest)

  it.each([
    '',
    '{',
    'null',
    '1',
    '"text"',
    '[]',
    '[{"query":"{ hello }"}]',
    '{}',
    '{"query":null}',
    '{"query":5}',
    '{"query":["{ hello }"]}',
    '{"query":"{ hello }","variables":[]}',
    '{"query":"{ hello }","variables":"{}"}',
    '{"query":"{ hello }","extensions":1}',
    '{"query":"{ hello }","operationName":1}',
    '{"query":"{ hello }","operationName":{}}',
    '{"query":"{ hello }","more":1}',
    '{"query":"{ hello }","__proto__":{"query":"x"}}',
    '{"__proto__":{"query":"{ hello }"}}',
  ])('%s is not plain, and Yoga says what is wrong with it', async (body) => {
    expect(plainParams(body)).toBeNull()
    expect(await byYoga(body)).toMatchObject({ status: 400, text: expect.stringMatching(/./) })
  })

  it('that is plain is read as Yoga reads it', async () => {
    const json = fc.jsonValue({ maxDepth: 2 })
    const mostly = (right: fc.Arbitrary<unknown>) => fc.oneof({ weight: 9, arbitrary: right }, { weight: 1, arbitrary: json })
    const bodies = fc.record(
      {
        query: mostly(fc.string()),
        variables: mostly(fc.option(fc.dictionary(fc.string(), json))),
        operationName: mostly(fc.option(fc.string())),
        extensions: mostly(fc.option(fc.dictionary(fc.string(), json))),
      },
      { requiredKeys: ['query'] },
    )
    const further = fc.dictionary(fc.string(), json).map((more) => ({ query: '{ hello }', ...more }))
    let plain = 0
    await fc.assert(
      fc.asyncProperty(fc.oneof({ weight: 8, arbitrary: bodies }, further, json), async (value) => {
        const body = JSON.stringify(value)
        const params = plainParams(body)
        const read = await byYoga(body)
        if (params === null) return
        plain++
        expect(isFault(read)).toBe(false)
        expect(JSON.stringify(params)).toBe(JSON.stringify(read))
      }),
      { numRuns: 500 },
    )
    expect(plain).toBeGreaterThan(100)
  })
})

/** Operations of every outcome: data, errors of each kind, refusals by limits, other transports. */
const operations: { query: string; variables?: Record<string, unknown> | null; operationName?: string | null }[] = [
  { query: '{ hello }' },
  { query: 'query A { hello } query B { me }', operationName: 'B' },
  { query: 'query A { hello } query B { me }' },
  { query: 'query A { hello }', operationName: 'C' },
  { query: 'query A { hello }', operationName: '' },
  { query: 'query A { hello }', operationName: null, variables: null },
  { query: '{ __typename ...F } fragment F on Query { hello: me @include(if: true) me @skip(if: true) }' },
  { query: '{ items(first: 2) { nodes { id parent { id } } totalCount } }' },
  { query: 'query ($f: Filter!) { echo(filter: $f) }', variables: { f: { name: 'a', size: 1, colour: 'RED', tags: [{ key: 'k' }] } } },
  { query: 'query ($f: Filter!) { echo(filter: $f) }', variables: { f: { name: 5, more: 1 } } },
  { query: 'query ($f: Filter!) { echo(filter: $f) }' },
  { query: '{ boom hello }' },
  { query: '{ missing hello }' },
  { query: '{ wrong }' },
  { query: '{ nothing }' },
  { query: '{ hello' },
  { query: '' },
  { query: 'fragment F on Query { hello }' },
  { query: `{ ${'items { nodes { '.repeat(20)} id ${'} }'.repeat(20)} }` },
  { query: `{ ${Array.from({ length: 40 }, (_, n) => `a${n}: hello`).join(' ')} }` },
  { query: `{ ${'hello '.repeat(3000)} }` },
  { query: '{ items(first: 100) { nodes { items(first: 100) { nodes { items(first: 100) { totalCount } } } } } }' },
  { query: '{ __schema { queryType { name } } }' },
  { query: 'mutation { put(input: {name: "a"}) { item { id } } }' },
  { query: 'subscription { ticks(count: 2) { n } }' },
  { query: 'subscription { refused { n } }' },
]

const accepts = ['*/*', 'application/json', 'application/graphql-response+json', 'text/event-stream', 'image/png']
const volatile = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length'])

const answerTo = async (body: object, accept: string) => {
  const response = await api.post(body, { accept, 'x-request-id': 'one' })
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !volatile.has(name)))
  return { status: response.status, headers, text: await response.text() }
}

describe('an answer', () => {
  // Yoga takes no notice of a further parameter that is null; such a body isn't plain.
  it.each(accepts.flatMap((accept) => operations.map((operation) => [accept, operation] as const)))(
    'with Accept %s is the same whoever reads the request: %j',
    async (accept, operation) => {
      expect(plainParams(JSON.stringify(operation))).not.toBeNull()
      const further = { ...operation, further: null }
      expect(plainParams(JSON.stringify(further))).toBeNull()
      const plain = await answerTo(operation, accept)
      expect(plain).toEqual(await answerTo(further, accept))
      expect(plain.status).toBeGreaterThanOrEqual(200)
    },
  )
})
