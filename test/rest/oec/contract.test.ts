/** What holds for every row of the contract: keys, errors, pages. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApiKey, generateKey, revokeApiKey } from '../../../src/domain/access/api-key/index.ts'
import { listEnvironments } from '../../../src/domain/apps/environment/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { createWebhookEndpoint } from '../../../src/domain/webhooks/endpoint/index.ts'
import { ask, type CommandInput, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { oecDialect } from '../../../src/rest/oec/index.ts'
import { oecKeys, startRest, type TestServer } from '../support.ts'

const prefix = '/api/public/v1'
let rest: TestServer
beforeAll(async () => {
  rest = await startRest([oecDialect], {}, oecKeys)
})
afterAll(() => rest?.close())

const request = () => ({ app: rest.app, caller: rest.acme.owner, requestId: 'test' })
const makeKey = async (input: CommandInput = {}) => {
  const { apiKey, plaintextKey } = await execute(request(), createApiKey, { name: 'ci', kind: 'OEC', scope: 'READ', ...input })
  return { id: apiKey.id, named: encodeId('ApiKey', apiKey.id), text: plaintextKey! }
}
const get = (path: string, key?: string, headers?: Record<string, string>) =>
  rest.call('GET', prefix + path, { ...(key ? { key } : {}), ...(headers ? { headers } : {}) })

describe('a refused credential', () => {
  it.each<[string, () => Promise<Record<string, string>>, string]>([
    ['none', async () => ({}), 'missing_auth'],
    ['another scheme', async () => ({ authorization: 'Basic abc' }), 'invalid_key_format'],
    ['a key of another API', async () => ({ 'x-api-key': generateKey('ak_live_') }), 'invalid_key_format'],
    ['a key without a kind', async () => ({ 'x-api-key': 'oec_live_a1b2c3d4e5f6' }), 'invalid_key_format'],
    ['a short key', async () => ({ 'x-api-key': 'oec_live_rw_a' }), 'invalid_key_format'],
    ['an access token', async () => ({ authorization: 'Bearer eyJhbGciOiJFZERTQSJ9.e30.c2ln' }), 'invalid_key_format'],
    ['an unknown key', async () => ({ 'x-api-key': generateKey('oec_live_rw_') }), 'invalid_key'],
    ['the key of the document', async () => ({ 'x-api-key': 'oec_live_rw_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6' }), 'invalid_key'],
    ['a cookie', async () => ({ cookie: 'access_token=x' }), 'missing_auth'],
    [
      'a revoked key',
      async () => {
        const { id, text } = await makeKey()
        await execute(request(), revokeApiKey, { id })
        return { 'x-api-key': text }
      },
      'invalid_key',
    ],
  ])('%s answers 401', async (_title, headers, error) => {
    const answer = await get('/projects', undefined, await headers())
    expect(answer).toMatchObject({ status: 401, body: { error, message: expect.any(String) }, headers: { 'www-authenticate': 'Bearer' } })
    expect(answer.headers).not.toHaveProperty('x-api-key-id')
  })

  it('an expired key answers 401 key_expired, and names the key', async () => {
    const { id, named, text } = await makeKey({ scope: 'WRITE' })
    await run(rest.app.db, sql`update api_key set expires_at = app_now() - interval '1 second' where id = ${id}::uuid`)
    const answer = await get('/projects', text)
    expect(answer).toMatchObject({ status: 401, body: { error: 'key_expired' }, headers: { 'x-api-key-id': named } })
    expect(await get('/nope', text)).toMatchObject({ status: 404, headers: { 'x-api-key-id': named } })
    expect(await rest.call('PUT', `${prefix}/projects`, { key: text })).toMatchObject({ status: 405, headers: { 'x-api-key-id': named } })
  })
})

it('every answer names the key, errors too', async () => {
  const { named, text } = await makeKey()
  for (const path of ['/projects', '/projects/nope', '/projects?page_size=0']) {
    expect((await get(path, text)).headers['x-api-key-id'], path).toBe(named)
  }
})

it('both headers carry a key, and Authorization takes precedence', async () => {
  const key = rest.acme.key.READ
  expect(await get('/projects', undefined, { 'x-api-key': key })).toMatchObject({ status: 200 })
  expect(await get('/projects', key, { 'x-api-key': 'oec_live_ro_unknown-key' })).toMatchObject({ status: 200 })
  expect(await get('/projects', 'oec_live_ro_unknown-key', { 'x-api-key': key })).toMatchObject({ status: 401 })
})

const reader = () => rest.acme.key.READ

describe('pages', () => {
  it('have items, total, page and page_size', async () => {
    for (const name of ['One', 'Two', 'Three']) await execute(request(), createProject, { name })
    const names = async (query: string) => {
      const { items, ...page } = (await get(`/projects${query}`, reader())).body
      return [items.map((item: { name: string }) => item.name), page]
    }
    expect(await names('')).toEqual([['One', 'Two', 'Three'], { total: 3, page: 1, page_size: 20 }])
    expect(await names('?page=2&page_size=2')).toEqual([['Three'], { total: 3, page: 2, page_size: 2 }])
    expect(await names('?page=2147483647&page_size=100')).toEqual([[], { total: 3, page: 2_147_483_647, page_size: 100 }])
  })

  it.each([
    ['page_size=0', 422, 'page_size', 'must be at least 1'],
    ['page_size=101', 422, 'page_size', 'must be at most 100'],
    ['page=2147483648', 422, 'page', 'must be at most 2147483647'],
    ['page=0', 422, 'page', 'must be at least 1'],
    ['page=x', 400, 'page', 'must be a number'],
    ['page_size=', 400, 'page_size', 'must be a number'],
  ])('%s answers %i and names the field', async (query, status, field, message) => {
    expect(await get(`/projects?${query}`, reader())).toMatchObject({
      status,
      body: { error: 'validation_error', message: `${field}: ${message}`, detail: [{ field, message }] },
    })
  })

  it('all fields that are not valid are named', async () => {
    const { status, body } = await get('/projects?page=x&page_size=101', reader())
    expect({ status, fields: body.detail.map(({ field }: { field: string }) => field).sort() }).toEqual({
      status: 400,
      fields: ['page', 'page_size'],
    })
  })
})

it('headers that are too large answer 431 validation_error', async () => {
  const answer = await get('/projects', undefined, { 'x-large': 'x'.repeat(20_000) })
  expect(answer).toMatchObject({ status: 431, body: { error: 'validation_error', message: 'The headers of the request are too large.' } })
})

it('a client that has the current state of a project, an environment or a webhook is answered 304', async () => {
  const { project } = await execute(request(), createProject, { name: 'Tagged' })
  const { rows } = await ask(request(), listEnvironments, { projectId: project.id })
  const input = { url: 'https://hooks.example.com', eventTypes: ['deployment.failed'], format: 'OEC' }
  const { webhookEndpoint } = await execute(request(), createWebhookEndpoint, input)
  const { text } = await makeKey()
  const paths = [
    `/projects/${encodeId('Project', project.id)}`,
    `/environments/${encodeId('Environment', rows[0]!.id)}`,
    `/webhooks/${encodeId('WebhookEndpoint', webhookEndpoint.id)}`,
  ]
  for (const path of paths) {
    const { status, headers } = await get(path, text)
    expect({ path, status, etag: headers.etag }).toEqual({ path, status: 200, etag: expect.stringMatching(/^"1-[\w-]+"$/) })
    expect(await get(path, text, { 'if-none-match': headers.etag! }), path).toMatchObject({ status: 304, text: '' })
    expect(await get(path, text, { 'if-none-match': '"1-other"' }), path).toMatchObject({ status: 200, headers: { etag: headers.etag } })
  }
})

it('a project-scoped key sees its project only', async () => {
  const mine = await execute(request(), createProject, { name: 'Mine' })
  const other = await execute(request(), createProject, { name: 'Other' })
  const { text } = await makeKey({ projectId: mine.project.id })
  const id = encodeId('Project', mine.project.id)
  expect((await get('/projects', text)).body).toMatchObject({ items: [{ id, environment_count: 1 }], total: 1 })
  expect((await get(`/projects/${id}/environments`, text)).body.items).toHaveLength(1)
  expect(await get(`/projects/${other.project.id}`, text)).toMatchObject({ status: 404, body: { error: 'not_found' } })
  const { rows } = await ask(request(), listEnvironments, { projectId: other.project.id })
  expect(await get(`/environments/${rows[0]!.id}`, text)).toMatchObject({ status: 404, body: { error: 'not_found' } })
})
