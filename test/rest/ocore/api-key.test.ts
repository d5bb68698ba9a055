import { afterAll, beforeAll, expect, it } from 'vitest'
import { createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { signIn } from '../../support/person.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([ocoreDialect], {}, ocoreKeys)
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown, key = rest.acme.key.ADMIN) => rest.call(method, `/api${path}`, { key, body })

it('a key works with its permissions until it is revoked', async () => {
  const expiresAt = '2099-01-01T00:00:00Z'
  const { accessToken } = await signIn(rest.app, rest.acme.owner)
  const made = await rest.call('POST', '/api/api-keys', {
    key: accessToken,
    headers: { 'x-org-slug': 'acme' },
    body: { name: 'CI', permissions: ['view:projects'], expiresAt },
  })
  const { key, ...item } = made.body
  expect(made).toMatchObject({
    status: 201,
    body: { name: 'CI', permissions: ['view:projects'], scope: 'organization', expiresAt, lastUsedAt: null },
  })
  expect(key).toMatch(new RegExp(`^${item.prefix}`))
  expect(item.prefix).toMatch(/^ocore_k_.{4}$/)
  expect(await call('GET', '/projects', undefined, key)).toMatchObject({ status: 200 })
  expect(await call('POST', '/projects', { name: 'No' }, key)).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } })
  expect((await call('GET', '/api-keys?limit=100')).body.data.map(({ id }: { id: string }) => id)).toContain(item.id)
  expect(await call('DELETE', `/api-keys/${item.id}`)).toMatchObject({ status: 200, body: { message: 'API key revoked' } })
  expect(await call('GET', '/projects', undefined, key)).toMatchObject({ status: 401, body: { error: { code: 'unauthorized' } } })
  expect((await call('GET', '/api-keys?limit=100')).body.data.map(({ id }: { id: string }) => id)).not.toContain(item.id)
})

it('keys of other APIs are neither listed nor revoked here', async () => {
  const { apiKey } = await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createApiKey, {
    name: 'old',
    scope: 'READ',
  })
  expect((await call('GET', '/api-keys')).body.data.map(({ id }: { id: string }) => id)).not.toContain(apiKey.id)
  expect(await call('DELETE', `/api-keys/${apiKey.id}`)).toMatchObject({ status: 404 })
})

it.each([
  [{ name: 'CI' }, 400, 'permissions'],
  [{ name: 'CI', permissions: [] }, 400, 'permissions'],
  [{ name: 'CI', permissions: ['fly:kites'] }, 400, 'permissions'],
  [{ name: 'CI', permissions: ['view:projects'], expiresAt: '2020-01-01T00:00:00Z' }, 400, 'expiresAt'],
])('%j answers %i and names %s', async (body, status, field) => {
  expect(await call('POST', '/api-keys', body)).toMatchObject({ status, body: { error: { code: 'validation_error', details: { field } } } })
})
