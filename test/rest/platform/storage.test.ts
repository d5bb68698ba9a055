import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectBucket, findStorageKey } from '../../../src/domain/resources/storage/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { newId } from '../../../src/platform/id.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
let key: string
beforeAll(async () => {
  rest = await startRest([platformDialect], { STORAGE_MAX_BUCKETS: '12' })
  key = rest.acme.key.ADMIN
})
afterAll(() => rest.close())

const send = (method: string, path: string, body?: object, by = key) =>
  rest.call(method, `/api/storage${path}`, { key: by, ...(body ? { body } : {}) })
const address = { endpoint: 'http://127.0.0.1:4090', region: 'us-east-1' }
const create = async (body: object = {}): Promise<{ id: string; name: string }> =>
  (await send('POST', '/buckets', { name: `b-${newId()}`, ...body })).body

it('creating a bucket answers 201 with a private, empty bucket, and it is listed', async () => {
  const made = await send('POST', '/buckets', { name: 'photos' })
  expect(made).toMatchObject({ status: 201, headers: { etag: expect.stringMatching(/^"1-/) } })
  const { id, created_at: createdAt, ...shown } = made.body
  expect(shown).toEqual({ name: 'photos', public: false, size_bytes: 0, object_count: 0, cors: [], cache_control: null, ...address })
  expect(createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  expect((await send('GET', '/buckets')).body).toEqual({ buckets: [made.body], total: 1 })
  expect((await send('GET', '/buckets', undefined, rest.other.key.READ)).body).toEqual({ buckets: [], total: 0 })
})

it.each([
  [{}, 400, 'name: '],
  [{ name: 'No' }, 400, 'name: '],
  [{ name: 'with.dots' }, 400, 'name: '],
  [{ name: 'fine', public: 'yes' }, 400, 'public: '],
  [{ name: 'photos' }, 409, 'A bucket with this name already exists'],
])('%j answers %i and leaves no bucket behind', async (body, status, detail) => {
  const before = (await send('GET', '/buckets')).body.total
  const answer = await send('POST', '/buckets', body)
  expect([answer.status, answer.body.detail]).toEqual([status, expect.stringContaining(detail)])
  expect((await send('GET', '/buckets')).body.total).toBe(before)
})

it('a name that another organization has answers the same 409', async () => {
  const own = await send('POST', '/buckets', { name: 'photos' })
  expect(await send('POST', '/buckets', { name: 'photos' }, rest.other.key.ADMIN)).toMatchObject({ status: 409, body: own.body })
})

it('an update changes the settings, and names a bad one as the request does', async () => {
  const { id } = await create()
  const rule = {
    ...{ allowed_origins: ['https://example.com'], allowed_methods: ['PUT'], allowed_headers: ['*'], expose_headers: ['ETag'] },
    max_age_seconds: 60,
  }
  const changed = await send('PATCH', `/buckets/${id}`, { public: true, cors: [rule], cache_control: 'no-cache' })
  expect(changed).toMatchObject({
    ...{ status: 200, headers: { etag: expect.stringMatching(/^"2-/) } },
    body: { id, public: true, cors: [rule], cache_control: 'no-cache', ...address },
  })
  expect((await send('PATCH', `/buckets/${id}`, { cache_control: null })).body).toMatchObject({ public: true, cache_control: null })
  const bad = await send('PATCH', `/buckets/${id}`, { cors: [{ allowed_origins: ['*'], max_age_seconds: -1 }] })
  expect(bad).toMatchObject({ status: 400, body: { detail: expect.stringContaining('max_age_seconds') } })
  const late = await rest.call('PATCH', `/api/storage/buckets/${id}`, { key, body: { public: false }, headers: { 'if-match': '"1"' } })
  expect(late.status).toBe(409)
  expect(await send('PATCH', `/buckets/${newId()}`, { public: true })).toMatchObject({ status: 404 })
  expect(await send('PATCH', `/buckets/${id}`, { public: true }, rest.other.key.ADMIN)).toMatchObject({ status: 404 })
})

it('a bucket that a web service uses answers 409 unless forced; deletion answers 204 and needs an admin key', async () => {
  const { id } = await create()
  const service = (await rest.call('POST', '/api/web-services', { key, body: { name: 'web' } })).body
  const owner = { app: rest.app, caller: rest.acme.owner, requestId: 'test' }
  await execute(owner, connectBucket, { bucketId: id, webServiceId: service.id })
  const project = await rest.call('GET', `/api/projects/${service.project_id}`, { key })
  expect(project.body.service_summary.object_storage).toBe(1)
  const { projects } = (await rest.call('GET', '/api/projects', { key })).body
  expect(projects.find((one: { id: string }) => one.id === service.project_id).service_summary.object_storage).toBe(1)
  expect(await send('DELETE', `/buckets/${id}`, undefined, rest.acme.key.WRITE)).toMatchObject({ status: 403 })
  expect(await send('DELETE', `/buckets/${id}`)).toMatchObject({ status: 409 })
  expect(await send('DELETE', `/buckets/${id}?force=true`)).toMatchObject({ status: 204 })
  expect(await send('DELETE', `/buckets/${id}`)).toMatchObject({ status: 404 })
})

it('creating a key shows its secret once; it is for buckets by name or ID, with permissions as an object or as words', async () => {
  const [one, two] = [await create(), await create()]
  const made = await send('POST', '/keys', { name: 'web', buckets: [two.name, one.id], permissions: { read: true, write: true } })
  expect(made.status).toBe(201)
  const { id, created_at: _createdAt, access_key_id: accessKeyId, secret_access_key: secret, ...shown } = made.body
  expect(shown).toEqual({
    ...{ name: 'web', buckets: [one.name, two.name], last_used_at: null, ...address },
    permissions: { read: true, write: true, delete: false, admin: false },
  })
  expect(await findStorageKey(rest.app, accessKeyId)).toMatchObject({ secretAccessKey: secret, bucketIds: new Set([one.id, two.id]) })
  const words = await send('POST', '/keys', { name: 'cleaner', buckets: [one.name], permissions: ['write', 'delete'] })
  expect(words.body.permissions).toEqual({ read: false, write: true, delete: true, admin: false })
  const { keys, total } = (await send('GET', '/keys')).body
  expect([keys.map((item: { id: string }) => item.id), total]).toEqual([[id, words.body.id], 2])
  const { secret_access_key: _secret, ...rest_ } = made.body
  expect(keys[0]).toEqual(rest_)
})

const permissionsText = 'permissions: must be an object with the fields read, write, delete and admin, or a list of these words'

it.each([
  [{ name: 'x', permissions: { read: true } }, 400, 'buckets'],
  [{ name: 'x', buckets: [], permissions: { read: true } }, 400, 'buckets'],
  [{ name: 'x', buckets: 'photos', permissions: { read: true } }, 400, 'buckets'],
  [{ name: 'x', buckets: ['nobody-has-this'], permissions: { read: true } }, 404, ''],
  [{ name: 'x', buckets: ['photos'] }, 400, 'permissions: is required'],
  [{ name: 'x', buckets: ['photos'], permissions: [] }, 400, 'permissions'],
  [{ name: 'x', buckets: ['photos'], permissions: ['fly'] }, 400, permissionsText],
  [{ name: 'x', buckets: ['photos'], permissions: 'read' }, 400, permissionsText],
  [{ name: 'x', buckets: ['photos'], permissions: null }, 400, 'permissions: must not be null'],
  [{ name: 'x', buckets: ['photos'], permissions: { read: 'yes' } }, 400, 'permissions.read'],
  [{ buckets: ['photos'], permissions: ['read'] }, 400, 'name'],
])('a key of %j answers %i and is not created', async (body, status, detail) => {
  const before = (await send('GET', '/keys')).body.total
  const answer = await send('POST', '/keys', body)
  expect([answer.status, answer.body.detail]).toEqual([status, expect.stringContaining(detail)])
  expect((await send('GET', '/keys')).body.total).toBe(before)
})

it('a revoked key answers 204, is not listed any more and works nowhere', async () => {
  const { name } = await create()
  const { id, access_key_id: accessKeyId } = (await send('POST', '/keys', { name: 'x', buckets: [name], permissions: ['read'] })).body
  expect(await send('DELETE', `/keys/${id}`, undefined, rest.acme.key.WRITE)).toMatchObject({ status: 403 })
  expect(await send('DELETE', `/keys/${id}`)).toMatchObject({ status: 204 })
  expect(await send('DELETE', `/keys/${id}`)).toMatchObject({ status: 404 })
  expect(await findStorageKey(rest.app, accessKeyId)).toBeNull()
})

it('the tenant shows quotas and use, and a bucket beyond the quota answers 403', async () => {
  for (let n = (await send('GET', '/tenant')).body.bucket_count; n < 12; n++) await create()
  expect((await send('GET', '/tenant')).body).toMatchObject({
    ...{ max_buckets: 12, max_bytes: 107_374_182_400, used_bytes: 0, bucket_count: 12, key_count: 2, ...address },
  })
  expect(await send('POST', '/buckets', { name: 'one-too-many' })).toMatchObject({ status: 403 })
})

it('a presigned URL answers 200 with what the request must send, and a bad request for one is refused', async () => {
  const { buckets } = (await send('GET', '/buckets')).body
  const presign = (body: object, by = key) => send('POST', `/buckets/${buckets[0].id}/presign`, body, by)
  const made = await presign({ key: 'a b/ü.png', method: 'PUT', content_type: 'image/png' })
  expect(made).toMatchObject({ status: 200, body: { method: 'PUT', headers: { 'content-type': 'image/png' } } })
  const url = new URL(made.body.url)
  expect([url.origin, url.pathname]).toEqual([address.endpoint, `/${buckets[0].name}/a%20b/%C3%BC.png`])
  expect(url.searchParams.get('X-Amz-Expires')).toBe('600')
  expect(made.body.expires_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  expect(await presign({ key: 'a', method: 'GET' }, rest.acme.key.READ)).toMatchObject({ status: 403 })
  expect(await presign({ key: 'a', method: 'GET' }, rest.other.key.ADMIN)).toMatchObject({ status: 404 })
  for (const [field, body] of [
    ['key', { method: 'GET' }],
    ['key', { key: '../a', method: 'GET' }],
    ['method', { key: 'a', method: 'DELETE' }],
    ['expires_in', { key: 'a', method: 'GET', expires_in: 86_401 }],
    ['content_type', { key: 'a', method: 'PUT', content_type: 'image' }],
  ] as const)
    expect(await presign(body)).toMatchObject({ status: 400, body: { detail: expect.stringContaining(`${field}: `) } })
})
