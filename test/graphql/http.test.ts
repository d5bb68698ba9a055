import { connect } from 'node:net'
import { runInNewContext } from 'node:vm'
import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../support/wait.ts'
import { type Body, key, serverForTest, startServer, type TestServer } from './support.ts'

let api: TestServer
beforeAll(async () => {
  api = await startServer()
})
afterAll(() => api.close())

const body = async (response: Response) => (await response.json()) as Body
const firstError = async (response: Response) => (await body(response)).errors![0]!
/** Sends raw bytes and returns the response. */
async function raw(text: string): Promise<string> {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
  socket.write(text, 'latin1')
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  return answer
}
const bearer = { authorization: `Bearer ${key}` }

describe('GraphQL over HTTP', () => {
  const withKey = (input: string | URL | Request, init?: RequestInit) =>
    fetch(input, { ...init, headers: { ...(init?.headers as Record<string, string>), ...bearer } })
  const audits = serverAudits({ url: () => api.url, fetchFn: withKey })

  it('includes the 61 audits of graphql-http', () => expect(audits).toHaveLength(61))
  it.each(audits.map((audit) => [audit.name, audit] as const))('%s', async (_name, audit) => {
    expect(await audit.fn()).toMatchObject({ status: 'ok' })
  })

  it('answers application/graphql-response+json with 400 for a document that is not valid', async () => {
    const response = await api.post({ query: '{ nothing }' }, { accept: 'application/graphql-response+json' })
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toBe('application/graphql-response+json; charset=utf-8')
  })
  it('answers 405 with Allow for a mutation by GET, and does not run it', async () => {
    const url = `${api.url}?query=${encodeURIComponent('mutation { put(input: {name: "a"}) { item { id } } }')}`
    const response = await fetch(url, { headers: bearer })
    expect([response.status, response.headers.get('allow'), api.probe.calls]).toEqual([405, 'POST', 0])
  })
  it.each(['PUT', 'PATCH', 'DELETE'])('answers 405 with Allow for %s, with any body, with or without a key', async (method) => {
    for (const headers of [{}, bearer]) {
      for (const body of [undefined, '{"query":"{ hello }"}', 'x=1']) {
        const response = await fetch(api.url, { method, headers, body })
        expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST, OPTIONS'])
        expect(await firstError(response)).toMatchObject({ extensions: { code: 'invalid_input', kind: 'invalid' } })
      }
    }
  })
  it('answers 406 without running the operation if no media type of the Accept header is supported', async () => {
    const response = await api.post({ query: 'mutation { put(input: {name: "a"}) { item { id } } }' }, { accept: 'image/png' })
    expect([response.status, api.probe.calls]).toEqual([406, 0])
  })
  it('answers 406 for a subscription of a client that accepts only JSON, and does not start it', async () => {
    const response = await api.post({ query: 'subscription { silent { n } }' }, { accept: 'application/json' })
    expect([response.status, api.probe.opened]).toEqual([406, 0])
  })
  it.each(['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain', 'application/graphql'])(
    'answers 415 for a body of type %s, so that a form of another site cannot post',
    async (type) => {
      const response = await api.post('query={hello}', { 'content-type': type })
      expect(response.status).toBe(415)
      expect(await firstError(response)).toMatchObject({ extensions: { code: 'invalid_input' } })
    },
  )
  it('answers 413 payload_too_large for a body over 2 MB', async () => {
    const response = await api.post({ query: '{ hello }', extensions: { filler: 'x'.repeat(2 * 1024 * 1024) } })
    expect(response.status).toBe(413)
    expect((await firstError(response)).extensions).toMatchObject({
      code: 'payload_too_large',
      kind: 'invalid',
      requestId: expect.any(String),
    })
  })
  it('refuses a batch of operations', async () => {
    const response = await api.post([{ query: '{ hello }' }, { query: '{ hello }' }])
    expect(response.status).toBe(400)
    expect(await firstError(response)).toMatchObject({ extensions: { code: 'invalid_input' } })
  })
  it.each(['not json', '', '"text"', 'null', '{"query": 1}'])('answers 400 invalid_input for the body %s', async (text) => {
    const response = await api.post(text)
    expect(response.status).toBe(400)
    expect(await firstError(response)).toMatchObject({ extensions: { code: 'invalid_input', kind: 'invalid' } })
  })
  const bytesOf = (...parts: (string | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part as string)))
  it.each([
    ['in the document', bytesOf('{"query":"{ hello # ', [0xff], '\\n }"}')],
    ['in a variable', bytesOf('{"query":"query ($f: Filter!) { echo(filter: $f) }","variables":{"f":{"name":"', [0xc3, 0x28], '"}}}')],
    ['in a truncated character', bytesOf('{"query":"{ hello }","extensions":{"x":"', [0xe2, 0x82], '"}}')],
    ['in a surrogate', bytesOf('{"query":"{ hello }","extensions":{"x":"', [0xed, 0xa0, 0x80], '"}}')],
  ])('answers 400 for bytes that are not valid UTF-8 %s', async (_name, bytes) => {
    const response = await fetch(api.url, { method: 'POST', headers: { ...bearer, 'content-type': 'application/json' }, body: bytes })
    expect(response.status).toBe(400)
    expect(await firstError(response)).toMatchObject({ message: 'The body is not valid UTF-8.', extensions: { code: 'invalid_input' } })
  })
  it.each(['iso-8859-1', 'utf-16', '"windows-1252"', 'us-ascii', 'utf-8; charset=latin1'])(
    'answers 415 for the charset %s',
    async (charset) => {
      const response = await api.post({ query: '{ hello }' }, { 'content-type': `application/json; charset=${charset}` })
      expect([response.status, (await firstError(response)).extensions.code]).toEqual([415, 'invalid_input'])
    },
  )
  it.each(['utf-8', 'UTF-8', '"utf-8"', 'utf8'])('accepts the charset %s', async (charset) => {
    const response = await api.post({ query: '{ hello }' }, { 'content-type': `application/json; charset=${charset}` })
    expect(await body(response)).toEqual({ data: { hello: 'world' } })
  })
  it.each(['%ff', '%c3%28', '%ed%a0%80', '%e2%82', '%', '%zz'])('answers 400 for a query string with %j', async (text) => {
    const path = `/graphql?query={hello}&variables={%22x%22:%22${text}%22}`
    const response = await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n\r\n`)
    expect(response).toMatch(/^HTTP\/1\.1 400 /)
    expect(response).toContain('percent-encoded UTF-8')
  })
  it('answers 400 for variables in a URL that are not JSON', async () => {
    const response = await fetch(`${api.url}?query={hello}&variables={`, { headers: bearer })
    expect([response.status, (await firstError(response)).extensions.code]).toEqual([400, 'invalid_input'])
  })
  it('accepts a trailing slash and a query by GET', async () => {
    const response = await fetch(`${api.url}/?query={hello}`, { headers: bearer })
    expect(await body(response)).toEqual({ data: { hello: 'world' } })
  })
})

describe('credentials', () => {
  const anonymous = (headers: Record<string, string>) =>
    fetch(api.url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{"query":"{ me }"}' })

  it.each([
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
  it.each([
    ['Authorization: Bearer', { authorization: `Bearer ${key}` }],
    ['bearer in lower case', { authorization: `bearer ${key}` }],
    ['X-API-Key', { 'x-api-key': key }],
    ['a good Authorization beside a bad X-API-Key', { authorization: `Bearer ${key}`, 'x-api-key': 'other' }],
  ])('accepts %s', async (_name, headers) => {
    expect(await body(await anonymous(headers))).toEqual({ data: { me: 'test' } })
  })

  describe('in the cookie', () => {
    const cookie = `access_token=${key}`
    const origin = () => new URL(api.url).origin

    it.each([
      ['from a page of this server', () => ({ cookie, origin: origin() })],
      ['from a page of this server whose browser omits Origin', () => ({ cookie, 'sec-fetch-site': 'same-origin' })],
    ])('authorize a POST %s', async (_name, headers) => {
      expect(await body(await anonymous(headers()))).toEqual({ data: { me: 'test' } })
    })
    it.each([
      ['a foreign page', { cookie, origin: 'http://evil.example' }],
      ['a page of another port of this host', { cookie, origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' }],
      ['no page', { cookie }],
    ])('answer 403 for a POST from %s', async (_name, headers) => {
      const response = await anonymous(headers)
      expect(response.status).toBe(403)
      expect(await body(response)).toMatchObject({
        errors: [{ message: expect.stringContaining('Origin'), extensions: { code: 'forbidden' } }],
      })
    })
    it('authorize a query by GET, and neither a mutation nor a foreign header beside them', async () => {
      const get = (query: string, headers = {}) =>
        fetch(`${api.url}?query=${encodeURIComponent(query)}`, { headers: { cookie, ...headers } })
      expect(await body(await get('{ me }'))).toEqual({ data: { me: 'test' } })
      expect((await get('mutation { __typename }')).status).toBe(405)
      expect((await get('{ me }', { authorization: 'Bearer other' })).status).toBe(401)
    })
  })
})

describe('errors', () => {
  const failing = async (query: string, variables?: unknown) => firstError(await api.post({ query, variables }))

  it('have code, kind, field, details and request id of a domain error', async () => {
    const response = await api.post({ query: '{ missing }' }, { 'x-request-id': 'mine-1' })
    expect(await body(response)).toEqual({
      data: { missing: null },
      errors: [
        {
          message: 'The object does not exist.',
          path: ['missing'],
          locations: [{ line: 1, column: 3 }],
          extensions: { code: 'not_found', kind: 'not_found', field: 'id', details: { looked: true }, requestId: 'mine-1' },
        },
      ],
    })
  })
  it('mask an unknown error as internal and log it with its stack and the request id', async () => {
    const response = await api.post({ query: '{ boom }' }, { 'x-request-id': 'mine-2' })
    const text = await response.text()
    expect(text).not.toContain('hunter2')
    expect(JSON.parse(text).errors[0].extensions).toEqual({ code: 'internal', kind: 'internal', requestId: 'mine-2' })
    const logged = api.log.find((line) => line.requestId === 'mine-2' && line.level === 50)
    expect(logged).toMatchObject({
      path: 'boom',
      err: { message: 'the password is hunter2', stack: expect.stringContaining('support.ts') },
    })
  })
  it('mask a value that the schema cannot print', async () => {
    expect(await failing('{ wrong }')).toMatchObject({ message: 'An internal error occurred.', extensions: { code: 'internal' } })
  })
  it('are graphql_parse_failed with the position for a syntax error', async () => {
    expect(await failing('{ hello')).toMatchObject({
      locations: [{ line: 1, column: 8 }],
      extensions: { code: 'graphql_parse_failed', kind: 'invalid' },
    })
  })
  it('are graphql_validation_failed for an invalid document', async () => {
    expect(await failing('{ hallo }')).toMatchObject({ extensions: { code: 'graphql_validation_failed', kind: 'invalid' } })
  })
  it('are graphql_validation_failed for an operation that is not in the document', async () => {
    const error = await firstError(await api.post({ query: 'query A { hello } query B { hello }', operationName: 'C' }))
    expect(error).toMatchObject({ message: expect.stringContaining('"C"'), extensions: { code: 'graphql_validation_failed' } })
  })
  const echo = 'query ($filter: Filter!) { echo(filter: $filter) }'
  it.each([
    ['a wrong type', { name: 5 }, 'name'],
    ['a missing field', {}, 'name'],
    ['a field inside a list', { name: 'a', tags: [{ key: 'a' }, { key: 1 }] }, 'tags.1.key'],
    ['a missing field inside a list', { name: 'a', tags: [{}] }, 'tags.0.key'],
    ['an unknown field', { name: 'a', nome: 'b' }, 'nome'],
    ['an unknown enum value', { name: 'a', colour: 'BLUE' }, 'colour'],
    ['a number out of range', { name: 'a', size: 1e12 }, 'size'],
    ['no value at all', undefined, 'filter'],
    ['a value that is not an object', 'text', 'filter'],
  ])('are invalid_input with the field for %s in a variable', async (_name, filter, field) => {
    expect(await failing(echo, { filter })).toMatchObject({ extensions: { code: 'invalid_input', kind: 'invalid', field } })
  })
  it.each([
    { name: 1, tags: [{ key: 'hunter2' }] },
    { name: { secret: 'hunter2' } },
    { name: 'a', colour: 'hunter2' },
    { name: 'a', size: 'hunter2' },
    'hunter2',
  ])('never contain the value of a variable: %j', async (filter) => {
    const error = await failing(echo, { filter })
    expect(error.extensions.code).toBe('invalid_input')
    expect(JSON.stringify(error)).not.toContain('hunter2')
  })
  it('are invalid_input for each invalid variable, even beyond the number of errors that graphql-js reports', async () => {
    const filter = { name: 'a', tags: Array.from({ length: 80 }, () => ({ key: 5 })) }
    const { errors } = await body(await api.post({ query: echo, variables: { filter } }))
    expect(errors).toHaveLength(51)
    for (const { extensions } of errors!) expect(extensions).toMatchObject({ code: 'invalid_input', kind: 'invalid' })
    expect(errors!.at(-1)!.message).toContain('first 50')
  })
  it.each([
    ['a string for a number', '{ echo(filter: { name: "a", size: "hunter2" }) }'],
    ['a string for an object', '{ echo(filter: "hunter2") }'],
    ['a number for a string', '{ echo(filter: { name: 4711081 }) }'],
    ['a bare word for a string', '{ echo(filter: { name: hunter2 }) }'],
    ['an object for a string', '{ echo(filter: { name: { value: "hunter2" } }) }'],
    ['an unknown value of an enum', '{ echo(filter: { name: "a", colour: hunter2 }) }'],
    ['a string for an enum', '{ echo(filter: { name: "a", colour: "hunter2" }) }'],
    ['a list for an enum', '{ echo(filter: { name: "a", colour: ["hunter2"] }) }'],
    ['a default that does not fit', 'query ($n: Int = "hunter2") { items(first: $n) { totalCount } }'],
    ['an argument of a directive', '{ hello @include(if: "hunter2") }'],
    ['a string in place of a name', '{ echo("hunter2") }'],
    ['a string after a string', '{ echo(filter: { name: "a" "hunter2" }) }'],
    ['a block string in place of a name', '{ echo(filter: """hunter2""" """hunter2""") }'],
    ['a number in place of a name', '{ echo(4711081: 1) }'],
    ['unquoted words', '{ echo(filter: { name: a word and hunter2 }) }'],
    ['an invalid escape', '{ echo(filter: { name: "\\hunter2" }) }'],
    ['an unterminated string', '{ echo(filter: { name: "hunter2 }) }'],
  ])('never contain a literal of the document: %s', async (_name, query) => {
    const { errors, data } = await body(await api.post({ query }))
    expect([data, errors!.length > 0]).toEqual([undefined, true])
    for (const { extensions } of errors!) expect(extensions.kind).toBe('invalid')
    expect(errors![0]).toHaveProperty('locations')
    expect(JSON.stringify(errors)).not.toMatch(/hunter|4711081/)
    expect(JSON.stringify(api.log)).not.toContain('4711081')
  })
})

describe('the deadline', () => {
  it('answers timeout, aborts the operation, and leaves the connection usable', async () => {
    const api = await serverForTest({ settings: { REQUEST_TIMEOUT_MS: '100' } })
    const response = await api.post({ query: '{ slow }' })
    expect(response.status).toBe(504)
    expect(await firstError(response)).toMatchObject({ extensions: { code: 'timeout', kind: 'timeout' } })
    await until('the work was aborted', () => api.probe.slowAborted === 1)
    expect(await body(await api.post({ query: '{ hello }' }))).toEqual({ data: { hello: 'world' } })
  })
  it('aborts the operation of a client that disconnected', async () => {
    const api = await serverForTest()
    const gone = new AbortController()
    const asked = fetch(api.url, {
      method: 'POST',
      headers: { ...bearer, 'content-type': 'application/json' },
      body: '{"query":"{ slow }"}',
      signal: gone.signal,
    })
    const left = expect(asked).rejects.toThrow('aborted')
    await until('the work has begun', () => api.probe.slowBegun === 1)
    gone.abort()
    await left
    await until('the work was aborted', () => api.probe.slowAborted === 1)
  })
})

describe('GraphiQL', () => {
  it('is served to browsers without a key, and loads nothing from other hosts', async () => {
    const response = await fetch(api.url, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })
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
  it('stores no headers in the browser, and removes those that an earlier version stored', async () => {
    const html = await (await fetch(api.url, { headers: { accept: 'text/html' } })).text()
    const script = /<div id="root"><\/div>\s*<script>([\s\S]*?)<\/script>/.exec(html)![1]!
    expect(html).toContain('"shouldPersistHeaders":false')
    class Storage {
      setItem(name: string, value: string) {
        Object.assign(this, { [name]: value })
      }
      getItem(name: string) {
        return Reflect.get(this, name)
      }
    }
    const localStorage = new Storage()
    const tabs = (headers: string) => JSON.stringify({ activeTabIndex: 0, tabs: [{ query: '{ hello }', headers }] })
    Object.assign(localStorage, { 'graphiql:headers': 'hunter2', 'graphiql:tabState': tabs('hunter2'), other: 'headers' })
    runInNewContext(script, { Storage, localStorage })
    expect(JSON.stringify(localStorage)).not.toContain('hunter2')
    localStorage.setItem('graphiql:queries', JSON.stringify({ queries: [{ query: '{ me }', headers: '{"Authorization":"hunter2"}' }] }))
    localStorage.setItem('graphiql:headers', 'hunter2')
    localStorage.setItem('graphiql:theme', 'dark')
    expect({ ...localStorage }).toEqual({
      'graphiql:headers': '',
      'graphiql:tabState': JSON.stringify({ activeTabIndex: 0, tabs: [{ query: '{ hello }' }] }),
      'graphiql:queries': JSON.stringify({ queries: [{ query: '{ me }' }] }),
      'graphiql:theme': 'dark',
      other: 'headers',
    })
  })
  describe('with a session', () => {
    /** Runs the page's script against a server that answers GraphQL requests with `statuses` in turn, and refreshes with `refreshStatus`. */
    async function runSession(statuses: number[], refreshStatus = 200) {
      const html = await (await fetch(api.url, { headers: { accept: 'text/html' } })).text()
      const script = /<script>(\(\(\) => \{\s*const send = window\.fetch[\s\S]*?)<\/script>/.exec(html)![1]!
      const sent: string[] = []
      const bar = { links: [] as unknown[] }
      const window = {
        fetch: async (path: string) => {
          sent.push(path)
          await null
          return { status: path === '/graphql' ? statuses.shift() : refreshStatus }
        },
      }
      const element = () => ({
        setAttribute() {},
        append: (...items: object[]) => bar.links.push(...items.filter((item) => 'href' in Object(item))),
      })
      const document = { getElementById: () => ({ remove: () => bar.links.splice(0) }), createElement: element, body: { append() {} } }
      runInNewContext(script, { window, document, navigator: {}, location: { pathname: '/graphql' }, Headers })
      const ask = window.fetch as (path: string, init?: RequestInit) => Promise<{ status: number }>
      return { ask, sent, bar }
    }
    it('an expired access token is refreshed once, and the requests that need it are repeated', async () => {
      const { ask, sent, bar } = await runSession([401, 401, 200, 200])
      const answers = await Promise.all([ask('/graphql'), ask('/graphql')])
      expect(answers.map(({ status }) => status)).toEqual([200, 200])
      expect(sent.filter((path) => path === '/api/auth/refresh')).toHaveLength(1)
      expect(bar.links).toEqual([])
    })
    it('that has ended, a link leads to the sign-in page and back, until a request succeeds', async () => {
      const { ask, bar } = await runSession([401, 401, 200], 401)
      expect((await ask('/graphql')).status).toBe(401)
      expect(bar.links).toMatchObject([{ href: '/login?return=/graphql' }])
      await ask('/graphql')
      expect(bar.links).toEqual([])
    })
    it('a key that is refused is not replaced by the session', async () => {
      const { ask, sent } = await runSession([401])
      expect((await ask('/graphql', { headers: { authorization: 'Bearer ak_live_wrong' } })).status).toBe(401)
      expect(sent).toEqual(['/graphql'])
    })
  })
  it('does not replace the response to a query that a browser sends', async () => {
    const response = await fetch(`${api.url}?query={hello}`, { headers: { accept: 'text/html, */*', ...bearer } })
    expect(await body(response)).toEqual({ data: { hello: 'world' } })
  })
  it('is off in production: a browser gets 401', async () => {
    const api = await serverForTest({ settings: { NODE_ENV: 'production' } })
    const response = await fetch(api.url, { headers: { accept: 'text/html' } })
    expect(response.status).toBe(401)
    expect(await response.text()).not.toMatch(/graphiql/i)
  })
})
