/** Two contracts on the same paths of one server: the key or X-Org-Slug decides, also who words the errors. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Dialect } from '../../../src/rest/core/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

/** Stands in for a contract that names its organization in a header. */
const second: Dialect = {
  ...platformDialect,
  name: 'second',
  prefixes: ['/api'],
  keyPrefix: 'second_',
  organizationHeader: true,
  routes: platformDialect.routes
    .filter(({ path }) => path.startsWith('/projects'))
    .map((route) => ({ ...route, id: `second_${route.id}` })),
  status: { ...platformDialect.status, unprocessable: 422 },
  renderError: ({ text }) => ({ error: { message: text } }),
  errorSchema: { id: 'Error', schema: z.object({ error: z.object({ message: z.string() }) }).describe('An error.') },
}

/** Stands in for a contract whose paths have no prefix in common. */
const bare: Dialect = {
  ...second,
  name: 'bare',
  prefixes: [''],
  keyPrefix: 'bare_',
  organizationHeader: false,
  areas: ['/projects', '/bare'],
  routes: second.routes.map((route) => ({ ...route, id: `bare_${route.id}` })),
  renderError: ({ text }) => ({ failed: text }),
  errorSchema: { id: 'Error', schema: z.object({ failed: z.string() }).describe('An error.') },
}

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([platformDialect, second, bare])
})
afterAll(() => rest.close())

const organization = { 'x-org-slug': 'acme' }
const ofPlatform = { detail: expect.any(String) }
const ofSecond = { error: { message: expect.any(String) } }
const ofBare = { failed: expect.any(String) }

it.each([
  ['no credential', '/api/projects', {}, ofPlatform],
  ['the header alone', '/api/projects', organization, ofSecond],
  ['a key', '/api/projects', { 'x-api-key': 'second_x' }, ofSecond],
  ['a bad Authorization beside a key', '/api/projects', { 'x-api-key': 'second_x', authorization: 'Basic eA==' }, ofPlatform],
  ['a path of the first only', '/api/web-services', organization, ofPlatform],
  ['a path without a prefix', '/projects', { ...organization, 'x-api-key': 'second_x' }, ofBare],
])('%s at %s answers 401 in the form of its dialect', async (_title, path, headers, shape) => {
  expect(await rest.call('GET', path, { headers })).toMatchObject({ status: 401, body: shape })
})

describe.each([
  ['/api', {}, ofPlatform],
  ['/api', organization, ofSecond],
  ['', {}, ofBare],
])('errors below %j with %j', (prefix, headers, shape) => {
  const send = (method: string, path: string, payload?: string, more: Record<string, string> = {}) =>
    rest.call(method, `${prefix}${path}`, { payload, headers: { ...headers, ...more } })

  it.each([
    [404, () => send('GET', '/projects/a/b/c')],
    [405, () => send('DELETE', '/projects')],
    [404, () => send('POST', '/projects/a/b/c', '{')],
  ])('%d has the form of the dialect', async (status, ask) => {
    expect(await ask()).toMatchObject({ status, body: shape })
  })
})

it('a dialect without a prefix leaves other paths of the server alone', async () => {
  expect(await rest.call('GET', '/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } })
  expect(await rest.call('GET', '/nope')).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } })
  expect(await rest.call('GET', '/docs')).toMatchObject({ status: 404 })
  expect(await rest.call('GET', '/bare/openapi.json')).toMatchObject({ status: 200, body: { openapi: '3.1.0' } })
})
