import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../support/wait.ts'
import { type Body, key, serverForTest, startServer, type TestServer } from './support.ts'

let it: TestServer
beforeAll(async () => {
  it = await startServer()
})
afterAll(() => it.close())

const body = async (response: Response) => (await response.json()) as Body
const firstError = async (response: Response) => (await body(response)).errors![0]!
const bearer = { authorization: `Bearer ${key}` }

describe('GraphQL over HTTP', () => {
  const withKey = (input: string | URL | Request, init?: RequestInit) =>
    fetch(input, { ...init, headers: { ...(init?.headers as Record<string, string>), ...bearer } })
  const audits = serverAudits({ url: () => it.url, fetchFn: withKey })

  test('has the 61 audits that the specification is judged by', () => expect(audits).toHaveLength(61))
  test.each(audits.map((audit) => [audit.name, audit] as const))('%s', async (_name, audit) => {
    expect(await audit.fn()).toMatchObject({ status: 'ok' })
  })

  test('answers application/graphql-response+json with 400 for a document that is not valid', async () => {
    const response = await it.post({ query: '{ nothing }' }, { accept: 'application/graphql-response+json' })
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toBe('application/graphql-response+json; charset=utf-8')
  })
  test('answers 405 with Allow for a mutation by GET, and does not run it', async () => {
    const url = `${it.url}?query=${encodeURIComponent('mutation { put(input: {name: "a"}) { item { id } } }')}`
    const response = await fetch(url, { headers: bearer })
    expect([response.status, response.headers.get('allow'), it.probe.calls]).toEqual([405, 'POST', 0])
  })
  test.each(['PUT', 'PATCH', 'DELETE'])('answers 405 with Allow for %s, whatever is sent, with or without a key', async (method) => {
    for (const headers of [{}, bearer]) {
      for (const body of [undefined, '{"query":"{ hello }"}', 'x=1']) {
        const response = await fetch(it.url, { method, headers, body })
        expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST, OPTIONS'])
        expect(await firstError(response)).toMatchObject({ extensions: { code: 'invalid_input', kind: 'invalid' } })
      }
    }
  })
  test('answers 406 before running anything when no media type of the Accept header can be given', async () => {
    const response = await it.post({ query: 'mutation { put(input: {name: "a"}) { item { id } } }' }, { accept: 'image/png' })
    expect([response.status, it.probe.calls]).toEqual([406, 0])
  })
  test('answers 406 for a subscription that may only be answered as JSON, and does not begin it', async () => {
    const response = await it.post({ query: 'subscription { silent { n } }' }, { accept: 'application/json' })
    expect([response.status, it.probe.opened]).toEqual([406, 0])
  })
  test.each(['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain', 'application/graphql'])(
    'answers 415 for a body of type %s, so that no form of another page can post',
    async (type) => {
      const response = await it.post('query={hello}', { 'content-type': type })
      expect(response.status).toBe(415)
      expect(await firstError(response)).toMatchObject({ extensions: { code: 'invalid_input' } })
    },
  )
  test('answers 413 payload_too_large for a body over 2 MB', async () => {
    const response = await it.post({ query: '{ hello }', extensions: { filler: 'x'.repeat(2 * 1024 * 1024) } })
    expect(response.status).toBe(413)
    expect((await firstError(response)).extensions).toMatchObject({
      code: 'payload_too_large',
      kind: 'invalid',
      requestId: expect.any(String),
    })
  })
  test('refuses a batch of operations', async () => {
    const response = await it.post([{ query: '{ hello }' }, { query: '{ hello }' }])
    expect(response.status).toBe(400)
    expect(await firstError(response)).toMatchObject({ extensions: { code: 'invalid_input' } })
  })
  test.each(['not json', '', '"text"', 'null', '{"query": 1}'])('answers 400 invalid_input for the body %s', async (text) => {
    const response = await it.post(text)
    expect(response.status).toBe(400)
    expect(await firstError(response)).toMatchObject({ extensions: { code: 'invalid_input', kind: 'invalid' } })
  })
  test('answers 400 for variables in a URL that are not JSON', async () => {
    const response = await fetch(`${it.url}?query={hello}&variables={`, { headers: bearer })
    expect([response.status, (await firstError(response)).extensions.code]).toEqual([400, 'invalid_input'])
  })
  test('takes a trailing slash and a query by GET', async () => {
    const response = await fetch(`${it.url}/?query={hello}`, { headers: bearer })
    expect(await body(response)).toEqual({ data: { hello: 'world' } })
  })
})

describe('credentials', () => {
  const anonymous = (headers: Record<string, string>) =>
    fetch(it.url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{"query":"{ me }"}' })

  test.each([
    ['none', {}],
    ['an unknown key', { authorization: 'Bearer other' }],
    ['another scheme', { authorization: `Basic ${key}` }],
    ['a key without a scheme', { authorization: key }],
    ['a bad Authorization beside a good X-API-Key', { authorization: 'Bearer other', 'x-api-key': key }],
    ['an empty Authorization beside a good X-API-Key', { authorization: '', 'x-api-key': key }],
  ])('answers 401 unauthenticated for %s', async (_name, headers) => {
    const response = await anonymous(headers)
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    expect(await body(response)).toMatchObject({
      errors: [{ extensions: { code: 'unauthenticated', kind: 'unauthenticated', requestId: expect.any(String) } }],
    })
  })
  test.each([
    ['Authorization: Bearer', { authorization: `Bearer ${key}` }],
    ['bearer in lower case', { authorization: `bearer ${key}` }],
    ['X-API-Key', { 'x-api-key': key }],
    ['a good Authorization beside a bad X-API-Key', { authorization: `Bearer ${key}`, 'x-api-key': 'other' }],
  ])('takes %s', async (_name, headers) => {
    expect(await body(await anonymous(headers))).toEqual({ data: { me: 'test' } })
  })
})

describe('errors', () => {
  const failing = async (query: string, variables?: unknown) => firstError(await it.post({ query, variables }))

  test('tell code, kind, field, details and request id of a refusal of the domain', async () => {
    const response = await it.post({ query: '{ missing }' }, { 'x-request-id': 'mine-1' })
    expect(await body(response)).toEqual({
      data: { missing: null },
      errors: [
        {
          message: 'There is no such object.',
          path: ['missing'],
          locations: [{ line: 1, column: 3 }],
          extensions: { code: 'not_found', kind: 'not_found', field: 'id', details: { looked: true }, requestId: 'mine-1' },
        },
      ],
    })
  })
  test('mask what is unknown as internal and log it with its stack under the request id', async () => {
    const response = await it.post({ query: '{ boom }' }, { 'x-request-id': 'mine-2' })
    const text = await response.text()
    expect(text).not.toContain('hunter2')
    expect(JSON.parse(text).errors[0].extensions).toEqual({ code: 'internal', kind: 'internal', requestId: 'mine-2' })
    const logged = it.log.find((line) => line.requestId === 'mine-2' && line.level === 50)
    expect(logged).toMatchObject({
      path: 'boom',
      err: { message: 'the password is hunter2', stack: expect.stringContaining('support.ts') },
    })
  })
  test('mask a value that the schema cannot print', async () => {
    expect(await failing('{ wrong }')).toMatchObject({ message: 'Something went wrong on our side.', extensions: { code: 'internal' } })
  })
  test('say graphql_parse_failed with the place', async () => {
    expect(await failing('{ hello')).toMatchObject({
      locations: [{ line: 1, column: 8 }],
      extensions: { code: 'graphql_parse_failed', kind: 'invalid' },
    })
  })
  test('say graphql_validation_failed', async () => {
    expect(await failing('{ hallo }')).toMatchObject({ extensions: { code: 'graphql_validation_failed', kind: 'invalid' } })
  })
  test('say graphql_validation_failed for an operation that is not in the document', async () => {
    const error = await firstError(await it.post({ query: 'query A { hello } query B { hello }', operationName: 'C' }))
    expect(error).toMatchObject({ message: expect.stringContaining('"C"'), extensions: { code: 'graphql_validation_failed' } })
  })
  const echo = 'query ($filter: Filter!) { echo(filter: $filter) }'
  test.each([
    ['a wrong type', { name: 5 }, 'name'],
    ['a missing field', {}, 'name'],
    ['a field inside a list', { name: 'a', tags: [{ key: 'a' }, { key: 1 }] }, 'tags.1.key'],
    ['a missing field inside a list', { name: 'a', tags: [{}] }, 'tags.0.key'],
    ['an unknown field', { name: 'a', nome: 'b' }, 'nome'],
    ['an unknown enum value', { name: 'a', colour: 'BLUE' }, 'colour'],
    ['a number out of range', { name: 'a', size: 1e12 }, 'size'],
    ['no value at all', undefined, 'filter'],
    ['a value that is no object', 'text', 'filter'],
  ])('say invalid_input with the field for %s in a variable', async (_name, filter, field) => {
    expect(await failing(echo, { filter })).toMatchObject({ extensions: { code: 'invalid_input', kind: 'invalid', field } })
  })
  test.each([
    { name: 1, tags: [{ key: 'hunter2' }] },
    { name: { secret: 'hunter2' } },
    { name: 'a', colour: 'hunter2' },
    { name: 'a', size: 'hunter2' },
    'hunter2',
  ])('repeat no value of a variable: %j', async (filter) => {
    const error = await failing(echo, { filter })
    expect(error.extensions.code).toBe('invalid_input')
    expect(JSON.stringify(error)).not.toContain('hunter2')
  })
})

describe('the deadline', () => {
  test('answers timeout, ends the work behind it, and leaves the connection usable', async () => {
    const it = await serverForTest({ settings: { REQUEST_TIMEOUT_MS: '100' } })
    const response = await it.post({ query: '{ slow }' })
    expect(response.status).toBe(504)
    expect(await firstError(response)).toMatchObject({ extensions: { code: 'timeout', kind: 'timeout' } })
    await until('the work was aborted', () => it.probe.slowAborted === 1)
    expect(await body(await it.post({ query: '{ hello }' }))).toEqual({ data: { hello: 'world' } })
  })
  test('ends the work of a client that went away', async () => {
    const it = await serverForTest()
    const gone = new AbortController()
    const asked = fetch(it.url, {
      method: 'POST',
      headers: { ...bearer, 'content-type': 'application/json' },
      body: '{"query":"{ slow }"}',
      signal: gone.signal,
    })
    const left = expect(asked).rejects.toThrow()
    await until('the work has begun', () => it.probe.slowBegun === 1)
    gone.abort()
    await left
    await until('the work was aborted', () => it.probe.slowAborted === 1)
  })
})

describe('GraphiQL', () => {
  test('is served to browsers without a key, from this host alone', async () => {
    const response = await fetch(it.url, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    const policy = response.headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("connect-src 'self'")
    expect(policy).not.toMatch(/https?:/)
    const html = await response.text()
    const shell = html.replace(/<script>[\s\S]*<\/script>/g, '').replace(/<style>[\s\S]*?<\/style>/g, '')
    expect(shell).not.toMatch(/https?:\/\//)
    expect(html).not.toMatch(/<(script|img|iframe|link)[^>]+(src|href)=["']?(https?:)?\/\//)
    expect(html).toContain('Authorization')
  })
  test('leaves queries of a browser to GraphQL', async () => {
    const response = await fetch(`${it.url}?query={hello}`, { headers: { accept: 'text/html, */*', ...bearer } })
    expect(await body(response)).toEqual({ data: { hello: 'world' } })
  })
  test('is off in production: a browser gets 401', async () => {
    const it = await serverForTest({ settings: { NODE_ENV: 'production' } })
    const response = await fetch(it.url, { headers: { accept: 'text/html' } })
    expect(response.status).toBe(401)
    expect(await response.text()).not.toMatch(/graphiql/i)
  })
})
