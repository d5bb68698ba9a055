/** The twelve checks of graphql-cop, sent as it does, in production mode; those that are not about authentication also with a key. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Body, key, startServer, type TestServer } from './support.ts'

let api: TestServer
beforeAll(async () => {
  api = await startServer({ settings: { NODE_ENV: 'production' } })
})
afterAll(() => api.close())

type Answer = { status: number; text: string; body: Body | Body[] | null; headers: Headers }

async function send(init: RequestInit & { search?: string }): Promise<Answer> {
  const response = await fetch(api.url + (init.search ?? ''), init)
  const text = await response.text()
  let body: Answer['body'] = null
  try {
    body = JSON.parse(text)
  } catch {}
  return { status: response.status, text, body, headers: response.headers }
}
const json = { 'content-type': 'application/json', 'user-agent': 'graphql-cop/1.14' }
const post = (body: unknown, headers: Record<string, string> = {}) =>
  send({ method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify(body) })

const repeated = (n: number, text: (index: number) => string) => Array.from({ length: n }, (_, index) => text(index)).join(' ')

const introspection = '{ __schema { types { name fields { name } } } }'
const circular = `query cop { __schema { types { ${'fields { type { '.repeat(4)} name ${'} } '.repeat(4)} } } }`

const overloading: [string, unknown][] = [
  ['alias overloading', { query: `query cop { ${repeated(101, (i) => `alias${i}: __typename`)} }`, operationName: 'cop' }],
  ['array-based batching', Array.from({ length: 10 }, () => ({ query: 'query cop { __typename }', operationName: 'cop' }))],
  ['directive overloading', { query: `query cop { __typename ${'@aa'.repeat(10)} }`, operationName: 'cop' }],
  ['circular introspection', { query: circular, operationName: 'cop' }],
  ['field duplication', { query: `query cop { ${'__typename \n'.repeat(500)} }`, operationName: 'cop' }],
]

describe('without a key, every operation is answered with unauthenticated', () => {
  it.each([
    ...overloading,
    ['introspection', { query: introspection }],
    ['field suggestions', { query: 'query cop { __schema { directive } }' }],
    ['trace mode', { query: 'query cop { __typename }' }],
    ['unhandled errors', { query: 'qwerty cop { abc }' }],
  ])('%s', async (_name, body) => {
    const answer = await post(body)
    expect(answer.status).toBe(401)
    expect(answer.body).toMatchObject({ errors: [{ extensions: { code: 'unauthenticated' } }] })
    expect(answer.body).not.toHaveProperty('data')
    expect(answer.text).not.toMatch(/did you mean|__schema|tracing|exception|stack/i)
  })
  it.each([
    ['GET method query support', '?query=query+cop+%7B__typename%7D', 'GET'],
    ['mutation over GET', '?query=mutation+cop+%7B__typename%7D', 'GET'],
    ['POST with parameters in the URL', '?query=query+cop+%7B__typename%7D', 'POST'],
  ])('%s', async (_name, search, method) => {
    const answer = await send({ method, search })
    expect(answer.status).toBe(401)
    expect(answer.text).not.toContain('__typename')
  })
  it('POST of a form', async () => {
    const answer = await send({ method: 'POST', body: new URLSearchParams({ query: 'query cop {__typename}' }) })
    expect([answer.status, answer.text.includes('"data"')]).toEqual([401, false])
  })
  it.each(['/graphql', '/graphiql', '/playground', '/console'])('%s serves no page', async (path) => {
    const response = await fetch(new URL(path, api.url), { headers: { accept: 'text/html' } })
    expect(response.status).toBe(path === '/graphql' ? 401 : 404)
    expect(await response.text()).not.toMatch(/graphiql|playground|<html/i)
  })
  it('the page at / lists the API addresses and offers no explorer', async () => {
    const response = await fetch(new URL('/', api.url), { headers: { accept: 'text/html' } })
    expect(response.status).toBe(200)
    expect(await response.text()).not.toMatch(/graphiql|playground|explorer/i)
  })
})

describe('with a key', () => {
  const keyed = { authorization: `Bearer ${key}` }
  it.each(overloading)('%s is refused as a whole', async (_name, body) => {
    const answer = await post(body, { ...keyed, accept: 'application/graphql-response+json' })
    expect(answer.status).toBe(400)
    expect(answer.body).not.toHaveProperty('data')
  })
  it('a form is refused, so that no other site can post on behalf of its visitor', async () => {
    const answer = await send({ method: 'POST', headers: keyed, body: new URLSearchParams({ query: 'query cop {__typename}' }) })
    expect(answer.status).toBe(415)
  })
  it('a response contains no trace of its execution', async () => {
    const answer = await post({ query: 'query cop { __typename }' }, { ...keyed, 'apollo-tracing': '1' })
    expect(answer.body).toEqual({ data: { __typename: 'Query' } })
  })
  it('an error contains no exception', async () => {
    const answer = await post({ query: 'qwerty cop { abc }' }, keyed)
    expect(answer.body).toMatchObject({ errors: [{ extensions: { code: 'graphql_parse_failed' } }] })
    expect(answer.text).not.toMatch(/exception|stack/i)
  })
  it('introspection is open', async () => {
    expect((await post({ query: introspection }, keyed)).body).toHaveProperty('data.__schema.types')
  })
})
