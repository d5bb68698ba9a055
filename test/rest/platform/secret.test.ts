import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { revokeSecretVersion } from '../../../src/domain/configuration/secret/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, rows, sql } from '../../../src/platform/db/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
let key: string
let project: string
beforeAll(async () => {
  rest = await startRest([platformDialect])
  key = rest.acme.key.ADMIN
})
beforeEach(async () => {
  project = await makeProject()
})
afterAll(() => rest.close())

const mask = '********'
const makeProject = async (by = key): Promise<string> =>
  (await rest.call('POST', '/api/projects', { key: by, body: { name: 'Shop' } })).body.id
const send = (method: string, path: string, body?: unknown, by = key) =>
  rest.call(method, `/api/projects/${project}/secrets${path}`, { key: by, ...(body === undefined ? {} : { body }) })
const add = async (name: string, value: string, more: object = {}) => (await send('POST', '', { key: name, value, ...more })).body
const list = async () => (await send('GET', '')).body.secrets
const reveal = async (id: string) => (await send('GET', `/${id}/reveal`)).body.value

describe('creating a secret', () => {
  it('answers 201 with the value masked; the scope defaults to production and is_secret to true', async () => {
    const made = await send('POST', '', { key: 'STRIPE_SECRET_KEY', value: 'sk_canary' })
    expect(made).toMatchObject({
      status: 201,
      body: { project_id: project, key: 'STRIPE_SECRET_KEY', value: mask, scope: 'production', is_secret: true, version: 1 },
    })
    expect(made.text).not.toContain('canary')
    expect((await send('GET', '')).body).toEqual({ secrets: [made.body], total: 1 })
  })

  it('shows the value if is_secret is false', async () => {
    const made = await add('REGION', 'eu', { scope: 'staging', is_secret: false })
    expect(made).toMatchObject({ value: 'eu', scope: 'staging', is_secret: false })
    expect(await list()).toEqual([made])
  })

  it('answers 409 if the key exists at the scope; the same key at another scope is another secret', async () => {
    await add('TOKEN', 'first')
    expect(await send('POST', '', { key: 'TOKEN', value: 'second' })).toMatchObject({ status: 409 })
    expect(await send('POST', '', { key: 'TOKEN', value: 'second', scope: 'development' })).toMatchObject({ status: 201 })
    expect((await send('GET', '?scope=development')).body).toMatchObject({ secrets: [{ scope: 'development' }], total: 1 })
  })

  it.each([
    [{ key: 'A', value: 'x', scope: 'qa' }, 'scope'],
    [{ key: 'A', value: 'x', scope: 3 }, 'scope'],
    [{ key: 'A B', value: 'x' }, 'key'],
    [{ key: 'A' }, 'value'],
    [{ key: 'A', value: mask }, 'value'],
    [{ key: 'A', value: 'x', is_secret: 'no' }, 'is_secret'],
  ])('%j answers 400 and names the field', async (body, field) => {
    const answer = await send('POST', '', body)
    expect(answer).toMatchObject({ status: 400 })
    expect(answer.body.detail).toMatch(new RegExp(`^${field}: `))
    expect(await list()).toEqual([])
  })

  it('listing an unknown scope answers 400', async () => {
    expect(await send('GET', '?scope=qa')).toMatchObject({ status: 400 })
  })
})

it('an update creates a version, an equal value creates none, and the response is masked', async () => {
  const made = await add('TOKEN', 'first')
  const changed = await send('PATCH', `/${made.id}`, { value: 'second' })
  expect(changed).toMatchObject({ status: 200, body: { id: made.id, value: mask, version: 2 } })
  expect((await send('PATCH', `/${made.id}`, { value: 'second' })).body).toEqual(changed.body)
  expect(await reveal(made.id)).toBe('second')
  expect(await send('PATCH', `/${made.id}`, { value: mask })).toMatchObject({ status: 400 })
  expect(await send('PATCH', `/${made.id}`, {})).toMatchObject({ status: 400 })
})

describe('a bulk write', () => {
  it('merges by key and scope, deletes nothing, and returns the whole list', async () => {
    const kept = await add('KEPT', '1')
    const plain = await add('REGION', 'eu', { is_secret: false })
    const answer = await send('PUT', '/bulk', {
      secrets: [
        { key: 'API_SECRET', value: 'value1', scope: 'production' },
        { key: 'API_SECRET', value: 'value2', scope: 'staging' },
        { id: plain.id, key: 'REGION', value: 'us' },
      ],
    })
    expect(answer).toMatchObject({ status: 200, body: { total: 4 } })
    expect(answer.body.secrets).toMatchObject([
      kept,
      { id: plain.id, key: 'REGION', value: 'us', is_secret: false, version: 2 },
      { key: 'API_SECRET', value: mask, scope: 'production', is_secret: true },
      { key: 'API_SECRET', value: mask, scope: 'staging' },
    ])
    expect(await reveal(answer.body.secrets[3].id)).toBe('value2')
  })

  it('with mode=replace deletes the others, and answers 409 while one of them is bound', async () => {
    const bound = await add('BOUND', '1')
    await add('FREE', '2')
    await bind(bound.id)
    const replace = () => send('PUT', '/bulk?mode=replace', { secrets: [{ key: 'NEW', value: '3' }] })
    expect(await replace()).toMatchObject({ status: 409 })
    expect(await list()).toHaveLength(2)
    expect(await send('DELETE', `/${bound.id}?force=true`)).toMatchObject({ status: 204 })
    expect((await replace()).body).toMatchObject({ secrets: [{ key: 'NEW' }], total: 1 })
  })

  it.each([
    [
      [
        { key: 'A', value: '1' },
        { key: 'A', value: '2', scope: 'production' },
      ],
      'secrets.1.key',
    ],
    [[{ key: 'A', value: '1', scope: 'qa' }], 'secrets.0.scope'],
    [[{ key: 'A', value: '1', is_secret: 'no' }], 'secrets.0.is_secret'],
    [
      [
        { key: 'A', value: '1' },
        { key: 'B', value: mask },
      ],
      'secrets.1.value',
    ],
    ['A', 'secrets'],
  ])('refuses the whole of %j with 400, naming the place', async (secrets, place) => {
    const answer = await send('PUT', '/bulk', { secrets })
    expect(answer).toMatchObject({ status: 400 })
    expect(answer.body.detail).toMatch(new RegExp(`^${place}: `))
    expect(await list()).toEqual([])
  })
})

const bind = async (secretId: string, name = 'Web') => {
  const made = await rest.call('POST', '/api/web-services', { key, body: { name, project_id: project } })
  await rest.call('POST', `/api/web-services/${made.body.id}/secret-bindings`, { key, body: { project_secret_id: secretId } })
  return made.body.id as string
}

describe('deleting a secret', () => {
  it('answers 204, and 404 the second time', async () => {
    const made = await add('GONE', '1')
    expect(await send('DELETE', `/${made.id}`)).toMatchObject({ status: 204, text: '' })
    expect(await send('DELETE', `/${made.id}`)).toMatchObject({ status: 404 })
  })

  it('answers 409 with the names of the services while the secret is bound; with force=true it is unbound and deleted', async () => {
    const made = await add('BOUND', '1')
    const service = await bind(made.id, 'Storefront')
    for (const query of ['', '?force=false']) {
      const refused = await send('DELETE', `/${made.id}${query}`)
      expect(refused).toMatchObject({ status: 409, body: { detail: expect.stringContaining('Storefront') } })
    }
    expect(await send('DELETE', `/${made.id}?force=maybe`)).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(/^force: /) },
    })
    expect(await list()).toHaveLength(1)
    expect(await send('DELETE', `/${made.id}?force=true`)).toMatchObject({ status: 204 })
    const bindings = await rest.call('GET', `/api/web-services/${service}/secret-bindings`, { key })
    expect(bindings.body).toEqual({ bindings: [], total: 0 })
  })
})

describe('reveal', () => {
  it('returns the value, is never cached, and records an audit row, an event and the time of the reveal, none of them with the value', async () => {
    const made = await add('TOKEN', 'canary-77aa')
    const shown = await send('GET', `/${made.id}/reveal`, undefined, rest.acme.key.WRITE)
    expect(shown).toMatchObject({ status: 200, body: { id: made.id, value: 'canary-77aa' }, headers: { 'cache-control': 'no-store' } })
    const told = await rows<{ what: string }>(
      rest.app.db,
      sql`select row_to_json(a)::text as what from audit_entry a where action = 'revealSecret' and target_id = ${made.id}::uuid
          union all select row_to_json(e)::text from event e where type = 'secret.revealed' and subject_id = ${made.id}::uuid`,
    )
    expect(told).toHaveLength(2)
    expect(JSON.stringify(told)).not.toContain('canary')
    expect(await row(rest.app.db, sql`select last_revealed_by from secret where id = ${made.id}::uuid`)).toEqual({
      lastRevealedBy: 'WRITE',
    })
  })

  it('of a secret whose newest version is revoked answers 409', async () => {
    const made = await add('TOKEN', 'first')
    const request = { app: rest.app, caller: rest.acme.owner, requestId: 'test' }
    await execute(request, revokeSecretVersion, { secretId: made.id, version: 1 })
    expect(await send('GET', `/${made.id}/reveal`)).toMatchObject({ status: 409 })
  })
})

it("another project's secret answers 404 on every row, of one's own organization and of a foreign one", async () => {
  const made = await add('MINE', '1')
  for (const [other, by] of [
    [await makeProject(), key],
    [await makeProject(rest.other.key.ADMIN), rest.other.key.ADMIN],
  ] as const) {
    project = other
    expect(await send('GET', `/${made.id}/reveal`, undefined, by)).toMatchObject({ status: 404 })
    expect(await send('PATCH', `/${made.id}`, { value: '2' }, by)).toMatchObject({ status: 404 })
    expect(await send('DELETE', `/${made.id}?force=true`, undefined, by)).toMatchObject({ status: 404 })
  }
})

it('limit and offset select a part of the list; total is the length of the whole list', async () => {
  for (const name of ['A', 'B', 'C']) await add(name, 'value')
  expect((await send('GET', '?limit=1&offset=1')).body).toMatchObject({ secrets: [{ key: 'B' }], total: 3 })
})
