import { afterAll, beforeAll, expect, it } from 'vitest'
import { callerOfKey, createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
let key: string
beforeAll(async () => {
  rest = await startRest([platformDialect])
  key = rest.acme.key.ADMIN
})
afterAll(() => rest.close())

const makeProject = async (name: string) => (await rest.call('POST', '/api/projects', { key, body: { name } })).body

it('creating a project answers 201, and reading it returns plain UUIDs and times to the second', async () => {
  const made = await rest.call('POST', '/api/projects', { key, body: { name: 'Shop', description: 'Sells things', unknown: 1 } })
  expect(made).toMatchObject({ status: 201, body: { name: 'Shop', description: 'Sells things', workspace_id: rest.acme.organizationId } })
  expect(made.body.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  const found = await rest.call('GET', `/api/projects/${made.body.id}`, { key })
  expect(found.body).toEqual({ ...made.body, web_services_list: [], databases_list: [], redis_list: [] })
})

it('the list contains all projects by default, each with the number of its services', async () => {
  const before = (await rest.call('GET', '/api/projects', { key })).body.total as number
  const names = Array.from({ length: 60 }, (_, index) => `Many ${index}`)
  for (const name of names) await makeProject(name)
  const list = await rest.call('GET', '/api/projects', { key })
  expect(list.body.total).toBe(before + 60)
  expect(list.body.projects).toHaveLength(before + 60)

  const holder = list.body.projects.at(-1)
  await rest.call('POST', '/api/web-services', { key, body: { name: 'One', project_id: holder.id } })
  await rest.call('POST', '/api/web-services', { key, body: { name: 'Two', project_id: holder.id } })
  const again = await rest.call('GET', '/api/projects', { key })
  const summaries = again.body.projects.map(
    (project: { service_summary: { web_services: number } }) => project.service_summary.web_services,
  )
  expect(summaries.slice(-2)).toEqual([0, 2])
  const detail = await rest.call('GET', `/api/projects/${holder.id}`, { key })
  expect(detail.body.service_summary).toEqual({ web_services: 2, postgresql: 0, redis: 0, object_storage: 0, email: 0 })
  expect(detail.body.web_services_list.map((service: { name: string }) => service.name)).toEqual(['One', 'Two'])
})

it('limit and offset select a part of the list; total is the length of the whole list', async () => {
  const all = (await rest.call('GET', '/api/projects', { key })).body
  const part = (await rest.call('GET', '/api/projects?limit=2&offset=1&unknown=1', { key })).body
  expect(part).toEqual({ projects: all.projects.slice(1, 3), total: all.total })
  const behind = (await rest.call('GET', `/api/projects?limit=100&offset=${all.total}`, { key })).body
  expect(behind).toEqual({ projects: [], total: all.total })
})

it('a list of any length takes seven statements besides the key check', async () => {
  const statements: string[] = []
  await rest.call('GET', '/api/projects', { key })
  const off = rest.app.db.onStatement((text) => statements.push(text))
  await rest.call('GET', '/api/projects', { key })
  off()
  expect(statements.filter((text) => !text.includes('api_key'))).toHaveLength(7)
})

it('a key sees only its organization, and a key restricted to a project only that project', async () => {
  const mine = await makeProject('Mine')
  const theirs = (await rest.call('GET', '/api/projects', { key: rest.other.key.READ })).body
  expect(theirs).toEqual({ projects: [], total: 0 })
  const { plaintextKey } = await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createApiKey, {
    name: 'narrow',
    scope: 'ADMIN',
    projectId: mine.id,
  })
  const narrow = { key: plaintextKey! }
  expect((await rest.call('GET', '/api/projects', narrow)).body).toMatchObject({ projects: [{ id: mine.id }], total: 1 })
  expect(await rest.call('POST', '/api/projects', { ...narrow, body: { name: 'Another' } })).toMatchObject({ status: 403 })
})

it.each([
  [{}, 'name'],
  [{ name: '' }, 'name'],
  [{ name: 'x'.repeat(101) }, 'name'],
  [{ name: 3 }, 'name'],
  [{ name: 'a\u0000b' }, 'name'],
  [{ name: 'ok', description: 'x'.repeat(2001) }, 'description'],
  [{ name: 'ok', description: 'a\u0000b' }, 'description'],
])('%j answers 400 and names %s', async (body, field) => {
  const answer = await rest.call('POST', '/api/projects', { key, body })
  expect(answer).toMatchObject({ status: 400 })
  expect(answer.body.detail).toMatch(new RegExp(`^${field}: `))
})

it('an idempotency key repeats the first response, and answers 400 with another input', async () => {
  const send = (name: string) => rest.call('POST', '/api/projects', { key, body: { name }, headers: { 'idempotency-key': 'k1' } })
  const first = await send('Once')
  const second = await send('Once')
  expect(second).toMatchObject({ status: 201, body: first.body })
  expect(await send('Twice')).toMatchObject({
    status: 400,
    body: { detail: 'This idempotency key was already used with different input. Use a new key.' },
  })
  const others = await rest.call('POST', '/api/projects', {
    key: rest.acme.key.WRITE,
    body: { name: 'Once' },
    headers: { 'idempotency-key': 'k1' },
  })
  expect(others.body.id).not.toBe(first.body.id)
})

it.each([
  ['OEC', 'READ', null],
  ['OEC', 'WRITE', null],
  ['OCORE', 'READ', ['view:projects']],
])('a key of another API (%s, %s) gets 401', async (kind, scope, permissions) => {
  const input = { name: 'other', kind, scope, permissions }
  const { plaintextKey } = await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createApiKey, input)
  expect(await callerOfKey(rest.app, plaintextKey!)).not.toBeNull()
  expect(await rest.call('GET', '/api/projects', { key: plaintextKey! })).toMatchObject({ status: 401 })
})
