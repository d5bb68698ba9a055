import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
let key: string
let projectId: string
beforeAll(async () => {
  rest = await startRest([platformDialect])
  key = rest.acme.key.ADMIN
  projectId = (await send('POST', '/api/projects', { name: 'Shop' })).body.id
})
afterAll(() => rest.close())

const send = (method: string, path: string, body?: object) => rest.call(method, path, { key, ...(body ? { body } : {}) })
const create = async (name: string): Promise<string> => (await send('POST', '/api/redis', { name, project_id: projectId })).body.id
/** What the supervisor writes. */
const observe = (id: string, status: string) =>
  run(rest.app.db, sql`update redis set status = ${status}::resource_status where id = ${id}::uuid`)

it('creating an instance answers 201 with the kind valkey, its memory and no credential', async () => {
  const made = await send('POST', '/api/redis', { name: 'Cache', project_id: projectId })
  expect(made).toMatchObject({ status: 201, headers: { etag: expect.stringMatching(/^"1-/) } })
  const { id, created_at: createdAt, ...shown } = made.body
  expect(shown).toEqual({
    ...{ kind: 'valkey', name: 'Cache', status: 'creating', project_id: projectId, plan_name: 'Standard (128 MiB)', memory_limit_mb: 128 },
    ...{ storage_limit_gb: null, internal_hostname: '127.0.0.1', external_hostname: null, public_access_enabled: false },
    ...{ cpu_usage_percent: null, memory_usage_percent: null, instance_count: 1 },
  })
  expect(createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  expect(await send('GET', `/api/redis/${id}`)).toMatchObject({
    status: 200,
    body: made.body,
    headers: { etag: expect.stringMatching(/^"1-/) },
  })
})

it('an instance without a project is created in the default project', async () => {
  const made = await send('POST', '/api/redis', { name: 'Alone' })
  expect(made.status).toBe(201)
  expect((await send('GET', `/api/projects/${made.body.project_id}`)).body.redis_list).toMatchObject([{ id: made.body.id }])
})

it.each([
  [{}, 400, 'name: '],
  [{ name: '' }, 400, 'name: '],
  [{ name: 'x'.repeat(101) }, 400, 'name: '],
  [{ name: 'ok', project_id: 'nope' }, 404, ''],
])('%j answers %i and leaves no instance behind', async (body, status, detail) => {
  const before = (await send('GET', '/api/redis')).body.total
  const answer = await send('POST', '/api/redis', body)
  expect(answer.status).toBe(status)
  expect(answer.body.detail.startsWith(detail)).toBe(true)
  expect((await send('GET', '/api/redis')).body.total).toBe(before)
})

it('the list is in order of creation, by limit and offset, and only of what the key may see', async () => {
  const ids = [await create('one'), await create('two')]
  const all = (await send('GET', '/api/redis')).body
  expect(all.redis_instances).toHaveLength(all.total)
  expect(all.redis_instances.slice(-2).map(({ id }: { id: string }) => id)).toEqual(ids)
  const part = (await send('GET', `/api/redis?limit=1&offset=${all.total - 2}`)).body
  expect(part).toEqual({ redis_instances: [all.redis_instances.at(-2)], total: all.total })
  expect((await rest.call('GET', '/api/redis', { key: rest.other.key.READ })).body).toEqual({ redis_instances: [], total: 0 })
  const elsewhere = (await send('POST', '/api/projects', { name: 'Elsewhere' })).body.id
  const input = { name: 'narrow', scope: 'ADMIN' as const, projectId: elsewhere }
  const narrow = await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createApiKey, input)
  expect((await rest.call('GET', '/api/redis', { key: narrow.plaintextKey! })).body.total).toBe(0)
  expect(await rest.call('GET', `/api/redis/${ids[0]}`, { key: narrow.plaintextKey! })).toMatchObject({ status: 404 })
})

it('an update changes the name, and answers 409 when the instance has changed since', async () => {
  const id = await create('before')
  expect(await send('PATCH', `/api/redis/${id}`, { name: 'after' })).toMatchObject({
    status: 200,
    body: { name: 'after' },
    headers: { etag: expect.stringMatching(/^"2-/) },
  })
  const late = await rest.call('PATCH', `/api/redis/${id}`, { key, body: { name: 'late' }, headers: { 'if-match': '"1"' } })
  expect(late.status).toBe(409)
  expect((await send('GET', `/api/redis/${id}`)).body.name).toBe('after')
})

it.each([
  ['CREATING', 'creating'],
  ['RUNNING', 'running'],
  ['STARTING', 'starting'],
  ['STOPPING', 'stopping'],
  ['STOPPED', 'stopped'],
  ['FAILED', 'failed'],
  ['DELETING', 'pending_deletion'],
])('the status %s is called %s', async (status, word) => {
  const id = await create('seen')
  await observe(id, status)
  expect((await send('GET', `/api/redis/${id}/status`)).body).toEqual({ id, kind: 'valkey', status: word })
})

it('stop and start answer that they have begun, as a read right after them does', async () => {
  const id = await create('switched')
  await observe(id, 'RUNNING')
  const status = async () => (await send('GET', `/api/redis/${id}/status`)).body.status
  const desired = async () =>
    (await row<{ desired: string }>(rest.app.db, sql`select desired_state as desired from redis where id = ${id}::uuid`))!.desired
  expect(await send('POST', `/api/redis/${id}/stop`)).toMatchObject({ status: 200, body: { id, kind: 'valkey', status: 'stopping' } })
  expect(await status()).toBe('stopping')
  expect(await desired()).toBe('STOPPED')
  await observe(id, 'STOPPED')
  expect(await send('POST', `/api/redis/${id}/start`)).toMatchObject({ status: 200, body: { id, kind: 'valkey', status: 'starting' } })
  expect(await status()).toBe('starting')
  expect(await desired()).toBe('RUNNING')
})

it('a connection gives the service REDIS_URL or the named variable', async () => {
  const id = await create('connected')
  const service = (await send('POST', '/api/web-services', { name: 'Web', project_id: projectId })).body.id
  const connect = (extra: object) =>
    send('POST', `/api/web-services/${service}/connections`, { target_type: 'valkey', target_id: id, ...extra })
  expect(await connect({})).toMatchObject({
    status: 201,
    body: { target_type: 'valkey', target_id: id, env_var_key: 'REDIS_URL' },
  })
  expect(await connect({ env_var_key: 'CACHE_URL' })).toMatchObject({ status: 201, body: { env_var_key: 'CACHE_URL' } })
  const { variables } = (await send('GET', `/api/web-services/${service}/secret-bindings/resolved`)).body
  const url = variables.find((variable: { key: string }) => variable.key === 'REDIS_URL')
  expect(url).toMatchObject({ is_secret: true, source: 'connection' })
  expect(url.value).toMatch(/^redis:\/\/app:[\w-]{32}@127\.0\.0\.1:\d+\/0$/)
  expect(await connect({ target_type: 'postgresql' })).toMatchObject({ status: 404 })
})

it.each([
  ['redis', 'valkey'],
  ['databases', 'valkey'],
  ['databases', 'postgresql'],
])(
  'DELETE below /%s of a connected %s answers 409 with the names of the services; with force=true it is disconnected',
  async (path, kind) => {
    const created = await send('POST', kind === 'valkey' ? '/api/redis' : '/api/databases', { name: 'used', project_id: projectId })
    const { id } = created.body
    const service = (await send('POST', '/api/web-services', { name: 'Storefront', project_id: projectId })).body.id
    await send('POST', `/api/web-services/${service}/connections`, { target_type: kind, target_id: id })
    for (const query of ['', '?force=false']) {
      const refused = await send('DELETE', `/api/${path}/${id}${query}`)
      expect(refused).toMatchObject({ status: 409, body: { detail: expect.stringContaining('connected to Storefront') } })
    }
    expect(await send('DELETE', `/api/${path}/${id}?force=maybe`)).toMatchObject({ status: 400 })
    const status = async () => (await send('GET', `/api/${path}/${id}/status`)).body.status
    expect(await status()).toBe('creating')
    expect(await send('DELETE', `/api/${path}/${id}?force=true`)).toMatchObject({ status: 204 })
    expect(await status()).toBe('pending_deletion')
    const { variables } = (await send('GET', `/api/web-services/${service}/secret-bindings/resolved`)).body
    expect(variables.filter(({ source }: { source: string }) => source === 'connection')).toEqual([])
  },
)

it('an instance is pending_deletion until its data is removed', async () => {
  const id = await create('deleted')
  expect((await rest.call('DELETE', `/api/redis/${id}`, { key: rest.acme.key.WRITE })).status).toBe(403)
  expect(await send('DELETE', `/api/redis/${id}`)).toMatchObject({ status: 204, text: '' })
  expect((await send('GET', `/api/redis/${id}/status`)).body.status).toBe('pending_deletion')
  expect(await send('POST', `/api/redis/${id}/start`)).toMatchObject({ status: 404 })
})

it('a project lists its instances with their version, and counts them', async () => {
  const project = (await send('POST', '/api/projects', { name: 'Counted' })).body.id
  const made = (await send('POST', '/api/redis', { name: 'Cache', project_id: project })).body
  const detail = (await send('GET', `/api/projects/${project}`)).body
  expect(detail.redis_list).toEqual([{ ...made, redis_version: '7.0.15' }])
  expect(detail.service_summary).toMatchObject({ postgresql: 0, redis: 1 })
  const listed = (await send('GET', '/api/projects')).body.projects.find(({ id }: { id: string }) => id === project)
  expect(listed.service_summary).toMatchObject({ postgresql: 0, redis: 1 })
})

describe('the paths of databases', () => {
  const createDatabase = async (name: string): Promise<string> =>
    (await send('POST', '/api/databases', { name, project_id: projectId })).body.id

  it('list both kinds in order of creation, by limit and offset, and only of what the key may see', async () => {
    const before = (await send('GET', '/api/databases')).body.total
    const ids = [await create('one'), await createDatabase('two'), await create('three'), await createDatabase('four')]
    const all = (await send('GET', '/api/databases')).body
    expect(all).toMatchObject({ total: before + 4 })
    expect(all.databases).toHaveLength(all.total)
    expect(all.databases.slice(-4).map(({ id, kind }: { id: string; kind: string }) => [id, kind])).toEqual([
      [ids[0], 'valkey'],
      [ids[1], 'postgresql'],
      [ids[2], 'valkey'],
      [ids[3], 'postgresql'],
    ])
    const part = (await send('GET', `/api/databases?limit=2&offset=${before + 1}`)).body
    expect(part).toEqual({ databases: all.databases.slice(-3, -1), total: all.total })
    expect((await send('GET', `/api/databases?offset=${all.total}`)).body).toEqual({ databases: [], total: all.total })
    expect((await rest.call('GET', '/api/databases', { key: rest.other.key.READ })).body).toEqual({ databases: [], total: 0 })
  })

  it('list any number of them with five statements besides the key check, two of them for what the servers use', async () => {
    await send('GET', '/api/databases')
    const statements: string[] = []
    const off = rest.app.db.onStatement((text) => statements.push(text))
    await send('GET', '/api/databases')
    off()
    expect(statements.filter((text) => !text.includes('api_key'))).toHaveLength(5)
  })

  it('take the ID of a Redis instance as well', async () => {
    const id = await create('either')
    const found = await send('GET', `/api/databases/${id}`)
    expect(found).toMatchObject({ status: 200, body: { id, kind: 'valkey' }, headers: { etag: expect.stringMatching(/^"1-/) } })
    expect(found.body).toEqual((await send('GET', `/api/redis/${id}`)).body)
    expect(await send('PATCH', `/api/databases/${id}`, { name: '' })).toMatchObject({ status: 400 })
    expect((await send('PATCH', `/api/databases/${id}`, { name: 'renamed' })).body).toMatchObject({ id, name: 'renamed' })
    await observe(id, 'RUNNING')
    const state = (status: string) => ({ id, kind: 'valkey', status })
    expect((await send('POST', `/api/databases/${id}/stop`)).body).toEqual(state('stopping'))
    expect((await send('POST', `/api/databases/${id}/start`)).body).toEqual(state('starting'))
    expect((await send('GET', `/api/databases/${id}/status`)).body).toEqual(state('starting'))
    const remove = () => rest.call('DELETE', `/api/databases/${id}`, { key, headers: { 'idempotency-key': 'remove either' } })
    expect(await remove()).toMatchObject({ status: 204 })
    await run(rest.app.db, sql`delete from resource where id = ${id}::uuid`)
    expect(await remove()).toMatchObject({ status: 204 })
    expect(await send('DELETE', `/api/databases/${id}`)).toMatchObject({ status: 404 })
  })

  it('do not find a database below /redis', async () => {
    const id = await createDatabase('not redis')
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/start'],
      ['GET', '/reveal'],
    ] as const)
      expect(await send(method, `/api/redis/${id}${path}`, method === 'PATCH' ? { name: 'x' } : undefined)).toMatchObject({ status: 404 })
  })

  it('reveal the same credentials as the paths of Redis, and audit each reveal', async () => {
    const id = await create('revealed')
    const revealed = await send('GET', `/api/redis/${id}/reveal`)
    const { password, port } = revealed.body
    expect(revealed.body).toEqual({
      ...{ id, url: `redis://app:${password}@127.0.0.1:${port}/0`, host: '127.0.0.1', port, database_name: null, username: 'app' },
      password: expect.stringMatching(/^[\w-]{32}$/),
    })
    expect((await send('GET', `/api/databases/${id}/reveal`)).body).toEqual(revealed.body)
    const audited = await row<{ n: number }>(
      rest.app.db,
      sql`select count(*)::int as n from audit_entry where action = 'revealRedis' and target_id = ${id}::uuid`,
    )
    expect(audited).toEqual({ n: 2 })
  })
})
