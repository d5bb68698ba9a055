/** Listing and revoking keys. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { oecDialect } from '../../../src/rest/oec/index.ts'
import { oecKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let project: { id: string }
beforeAll(async () => {
  rest = await startRest([oecDialect], {}, oecKeys)
  project = (await execute(request(), createProject, { name: 'Shop' })).project
})
afterAll(() => rest?.close())

const request = () => ({ app: rest.app, caller: rest.acme.owner, requestId: 'test' })
const create = async (input: CommandInput) => {
  const { apiKey, plaintextKey } = await execute(request(), createApiKey, { kind: 'OEC', scope: 'READ', ...input })
  return { id: apiKey.id, named: encodeId('ApiKey', apiKey.id), text: plaintextKey! }
}
const call = (method: string, path = '', key = rest.acme.key.WRITE) => rest.call(method, `/api/public/v1/api-keys${path}`, { key })
const listed = async () => (await call('GET', '?page_size=100')).body.items as { id: string; name: string; status: string }[]

it('keys of this API are listed with type, scope, prefix and status', async () => {
  const made = await create({ name: 'ci', scope: 'WRITE', projectId: project.id })
  await create({ name: 'elsewhere', kind: 'PLATFORM' })
  const found = await listed()
  expect(found.find(({ id }) => id === made.named)).toEqual({
    id: made.named,
    name: 'ci',
    type: 'full_access',
    scope: 'project',
    project_id: encodeId('Project', project.id),
    prefix: made.text.slice(0, 'oec_live_rw_'.length + 4),
    status: 'active',
    last_used_at: null,
    expires_at: null,
    created_at: expect.any(String),
  })
  expect(found.filter(({ name }) => name === 'READ')).toMatchObject([{ type: 'read_only', scope: 'organization', project_id: null }])
  expect(found.map(({ name }) => name)).not.toContain('elsewhere')
})

it('an expired key is listed as expired, and can be revoked', async () => {
  const { id, named } = await create({ name: 'old' })
  await run(rest.app.db, sql`update api_key set expires_at = app_now() - interval '1 hour' where id = ${id}::uuid`)
  expect((await listed()).find((key) => key.id === named)).toMatchObject({ status: 'expired' })
  expect(await call('DELETE', `/${named}`)).toMatchObject({ status: 204, text: '' })
  expect((await listed()).map((key) => key.id)).not.toContain(named)
  expect(await call('DELETE', `/${named}`)).toMatchObject({ status: 404, body: { error: 'not_found' } })
})

it('a revoked key stops working immediately', async () => {
  const { named, text } = await create({ name: 'leaked' })
  expect(await rest.call('GET', '/api/public/v1/projects', { key: text })).toMatchObject({ status: 200 })
  expect(await call('DELETE', `/${named}`)).toMatchObject({ status: 204 })
  expect(await rest.call('GET', '/api/public/v1/projects', { key: text })).toMatchObject({ status: 401, body: { error: 'invalid_key' } })
})

it('a key of another API is not revoked here', async () => {
  const { named } = await create({ name: 'platform', kind: 'PLATFORM' })
  expect(await call('DELETE', `/${named}`)).toMatchObject({ status: 404 })
})

it('a key of a project answers 403 org_scope_required, and a read-only key 403 read_only_key', async () => {
  const own = await create({ name: 'mine' })
  for (const scope of ['READ', 'WRITE']) {
    const { text, named } = await create({ name: 'narrow', scope, projectId: project.id })
    for (const answer of [await call('GET', '', text), await call('DELETE', `/${own.named}`, text)]) {
      expect(answer).toMatchObject({ status: 403, body: { error: 'org_scope_required' }, headers: { 'x-api-key-id': named } })
    }
  }
  expect(await call('DELETE', `/${own.named}`, rest.acme.key.READ)).toMatchObject({ status: 403, body: { error: 'read_only_key' } })
  expect((await listed()).map(({ id }) => id)).toContain(own.named)
})
