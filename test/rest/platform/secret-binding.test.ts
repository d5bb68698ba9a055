import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'
import { goLive, pinPresentEnv } from './platform-support.ts'

let rest: TestServer
let key: string
let project: string
let service: string
beforeAll(async () => {
  rest = await startRest([platformDialect])
  key = rest.acme.key.ADMIN
})
beforeEach(async () => {
  project = await makeProject()
  service = await makeService('production')
})
afterAll(() => rest.close())

const mask = '********'
const post = (path: string, body: unknown) => rest.call('POST', `/api${path}`, { key, body })
const makeProject = async (): Promise<string> => (await post('/projects', { name: 'Shop' })).body.id
const makeService = async (environment: string): Promise<string> =>
  (await post('/web-services', { name: 'Web', project_id: project, environment, git_repository_url: 'https://git.example.com/a/b.git' }))
    .body.id
const addSecret = async (name: string, value: string, more: object = {}): Promise<string> =>
  (await post(`/projects/${project}/secrets`, { key: name, value, ...more })).body.id
const send = (method: string, path: string, body?: unknown, by = key) =>
  rest.call(method, `/api/web-services/${service}/secret-bindings${path}`, { key: by, ...(body === undefined ? {} : { body }) })
const bind = (secretId: string, alias?: string) => send('POST', '', { project_secret_id: secretId, alias_key: alias })

describe('binding a secret', () => {
  it('answers 201 with the alias and the secret; the alias defaults to the key', async () => {
    const secret = await addSecret('PASSWORD', 'hidden')
    const made = await bind(secret, 'DB_PASSWORD')
    expect(made).toMatchObject({
      status: 201,
      body: { web_service_id: service, project_secret_id: secret, secret_key: 'PASSWORD', alias_key: 'DB_PASSWORD' },
    })
    const second = await bind(secret)
    expect(second.body).toMatchObject({ alias_key: 'PASSWORD' })
    expect((await send('GET', '')).body).toEqual({ bindings: [made.body, second.body], total: 2 })
    expect((await send('GET', '?limit=1&offset=1')).body).toEqual({ bindings: [second.body], total: 2 })
  })

  it('answers 409 for an alias that is already used', async () => {
    const secret = await addSecret('PASSWORD', 'hidden')
    await bind(secret, 'TAKEN')
    expect(await bind(await addSecret('OTHER', 'hidden'), 'TAKEN')).toMatchObject({ status: 409 })
  })

  it("another project's secret, an unknown one and none answer 404 and 400", async () => {
    const secret = await addSecret('PASSWORD', 'hidden')
    project = await makeProject()
    service = await makeService('production')
    expect(await bind(secret)).toMatchObject({ status: 404 })
    expect(await send('PUT', '/bulk', { bindings: [{ project_secret_id: secret, alias_key: 'A' }] })).toMatchObject({ status: 404 })
    expect(await bind('nope')).toMatchObject({ status: 404 })
    expect(await send('POST', '', { alias_key: 'A' })).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(/^project_secret_id: /) },
    })
  })

  it.each(['1A', 'A-B', '', 3])('answers 400 for the alias %j', async (alias) => {
    const secret = await addSecret('PASSWORD', 'hidden')
    const answer = await send('POST', '', { project_secret_id: secret, alias_key: alias })
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringMatching(/^alias_key: /) } })
  })

  it('unbinding answers 204, and 404 the second time or under another service', async () => {
    const made = (await bind(await addSecret('PASSWORD', 'hidden'))).body
    const mine = service
    service = await makeService('staging')
    expect(await send('DELETE', `/${made.id}`)).toMatchObject({ status: 404 })
    service = mine
    expect(await send('DELETE', `/${made.id}`)).toMatchObject({ status: 204, text: '' })
    expect(await send('DELETE', `/${made.id}`)).toMatchObject({ status: 404 })
  })
})

describe('a bulk write', () => {
  it('merges by alias: bindings that are not listed stay, listed ones are bound again', async () => {
    const [first, second] = [await addSecret('FIRST', 'one'), await addSecret('SECOND', 'two')]
    const kept = (await bind(first, 'KEPT')).body
    const moved = (await bind(first, 'MOVED')).body
    const answer = await send('PUT', '/bulk', {
      bindings: [
        { id: moved.id, project_secret_id: second, alias_key: 'MOVED' },
        { project_secret_id: second, alias_key: 'NEW' },
      ],
    })
    expect(answer).toMatchObject({ status: 200, body: { total: 3 } })
    expect(answer.body.bindings).toMatchObject([
      kept,
      { id: moved.id, alias_key: 'MOVED', project_secret_id: second, secret_key: 'SECOND' },
      { alias_key: 'NEW', secret_key: 'SECOND' },
    ])
    expect((await send('GET', '')).body).toEqual(answer.body)
  })

  it('with mode=replace unbinds the others', async () => {
    const secret = await addSecret('FIRST', 'one')
    await bind(secret, 'GONE')
    const answer = await send('PUT', '/bulk?mode=replace', { bindings: [{ project_secret_id: secret, alias_key: 'KEPT' }] })
    expect(answer.body).toMatchObject({ bindings: [{ alias_key: 'KEPT' }], total: 1 })
    expect((await send('PUT', '/bulk?mode=replace', { bindings: [] })).body).toEqual({ bindings: [], total: 0 })
  })

  it('answers 400 for a repeated alias and binds nothing', async () => {
    const secret = await addSecret('FIRST', 'one')
    const item = { project_secret_id: secret, alias_key: 'TWICE' }
    const answer = await send('PUT', '/bulk', { bindings: [item, item] })
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringMatching(/^bindings\.1\.alias_key: /) } })
    expect((await send('GET', '')).body.total).toBe(0)
  })
})

describe('the resolved variables', () => {
  const resolved = async (query = '', by = key) => (await send('GET', `/resolved${query}`, undefined, by)).body
  const valuesOf = ({ variables }: { variables: { key: string; value: string | null }[] }) =>
    Object.fromEntries(variables.map(({ key, value }) => [key, value]))
  const reveals = () =>
    rows(rest.app.db, sql`select details from audit_entry where action = 'revealResolvedEnv' and target_id = ${service}::uuid`)

  beforeEach(async () => {
    await post(`/web-services/${service}/env`, { key: 'PLAIN', value: 'seen' })
    await post(`/web-services/${service}/env`, { key: 'OWN', value: 'canary-own', is_secret: true })
    await post(`/web-services/${service}/env`, { key: 'PORT', value: '3000' })
    const staged = await addSecret('PASSWORD', 'canary-staged', { scope: 'staging' })
    await bind(staged, 'DB_PASSWORD')
    await bind(staged, 'OWN')
  })

  it('contain the final value, the source and the overridden sources of each variable', async () => {
    const { variables, total } = await resolved()
    expect(total).toBe(variables.length)
    const byKey = Object.fromEntries(variables.map((item: { key: string }) => [item.key, item]))
    expect(byKey.PLAIN).toMatchObject({
      value: 'seen',
      is_secret: false,
      source: 'env_var',
      is_fallback: false,
      alias_key: null,
      shadowed: [],
    })
    expect(byKey.DB_PASSWORD).toMatchObject({
      value: 'canary-staged',
      is_secret: true,
      source: 'secret',
      scope: 'staging',
      version: 1,
      requested_scope: 'production',
      is_fallback: true,
      alias_key: 'DB_PASSWORD',
      warnings: [expect.stringContaining('PASSWORD')],
    })
    expect(byKey.OWN).toMatchObject({
      value: 'canary-own',
      source: 'env_var',
      shadowed: [{ source: 'secret', scope: 'staging', version: 1, reason: 'env_var_wins' }],
    })
    expect(byKey.PORT).toMatchObject({ value: null, source: 'platform', shadowed: [{ source: 'env_var', reason: 'reserved' }] })
  })

  it('with values are a reveal: audited by key without values, recorded on the secret, and never cached', async () => {
    const answer = await send('GET', '/resolved', undefined, rest.acme.key.WRITE)
    expect(answer).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
    expect(valuesOf(answer.body)).toMatchObject({ DB_PASSWORD: 'canary-staged', OWN: 'canary-own' })
    const audited = await reveals()
    expect(audited).toMatchObject([{ details: { keys: expect.arrayContaining(['DB_PASSWORD', 'OWN', 'PLAIN']) } }])
    expect(JSON.stringify(audited)).not.toContain('canary')
  })

  it('are masked, and no reveal, for a key without the reveal permission and with reveal=false', async () => {
    for (const answer of [
      await resolved('', rest.acme.key.READ),
      await resolved('?reveal=true', rest.acme.key.READ),
      await resolved('?reveal=false'),
    ]) {
      expect(valuesOf(answer)).toMatchObject({ DB_PASSWORD: mask, OWN: mask, PLAIN: 'seen', PORT: null })
    }
    expect(await reveals()).toEqual([])
  })

  it('are the same masked and revealed, except for the values', async () => {
    const without = (answer: { variables: object[] }) => answer.variables.map((item) => ({ ...item, value: '' }))
    expect(without(await resolved('?reveal=false'))).toEqual(without(await resolved()))
  })

  it('list the changes that are not live yet once a deployment is live', async () => {
    const changed = async () =>
      (await resolved()).variables.flatMap((item: { key: string; changed_since_live: boolean }) =>
        item.changed_since_live ? [item.key] : [],
      )
    expect(await changed()).toEqual([])
    const deployment = await post(`/web-services/${service}/deployments`, {})
    await pinPresentEnv(rest, deployment.body.id)
    await goLive(rest, deployment.body.id)
    expect(await changed()).toEqual([])
    await rest.call('PUT', `/api/web-services/${service}/env/bulk`, {
      key,
      body: {
        variables: [
          { key: 'PLAIN', value: 'other' },
          { key: 'NEW', value: '' },
        ],
      },
    })
    expect(await changed()).toEqual(['NEW', 'PLAIN'])
  })

  it('omit a binding that would use a higher scope, with a warning', async () => {
    service = await makeService('development')
    await bind(await addSecret('LIVE_KEY', 'canary-live'), 'LIVE_KEY')
    const answer = await resolved()
    expect(valuesOf(answer)).not.toHaveProperty('LIVE_KEY')
    expect(answer.warnings).toEqual([expect.stringContaining('LIVE_KEY')])
  })

  it('answer 400 for a reveal that is not a boolean', async () => {
    expect(await send('GET', '/resolved?reveal=perhaps')).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(/^reveal: /) },
    })
  })
})
