/**
 * What existing command line clients of this contract send and read (decisions.md), by their requests: `/api/v1`, `{}` as the body of actions,
 * names and slugs resolved from whole lists, and a login that ends with a key.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { authDialect } from '../../../src/rest/auth/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { password, withPassword } from '../../support/person.ts'
import { startRest, type TestServer } from '../support.ts'
import { goLive, print } from './platform-support.ts'

type Item = Record<string, unknown> & { id: string; name: string; slug: string; key: string }

let rest: TestServer
let key: string
beforeAll(async () => {
  rest = await startRest([platformDialect, authDialect])
  key = rest.acme.key.ADMIN
})
afterAll(() => rest?.close())

const send = async (method: string, path: string, body?: object) => rest.call(method, `/api/v1${path}`, { key, ...(body ? { body } : {}) })
const get = async (path: string) => {
  const answer = await send('GET', path)
  expect(answer.status).toBe(200)
  return answer.body
}
const act = (path: string) => send('POST', path, {})
const createService = async (body: object) => (await send('POST', '/web-services', body)).body
const planId = async (serviceType: string, slug: string) =>
  ((await get(`/plans?service_type=${serviceType}`)).plans as Item[]).find((plan) => plan.slug === slug)!.id

it('login: the user is on top of the answer, and its cookie creates a key without an Origin header', async () => {
  const email = await withPassword(rest.app, rest.acme.owner)
  const login = await rest.call('POST', '/api/auth/login', { body: { email, password } })
  expect(login).toMatchObject({ status: 200, body: { id: rest.acme.owner.userId, email, name: 'acme' } })
  const cookie = [login.headers['set-cookie'] ?? []]
    .flat()
    .map((text) => text.split(';', 1)[0])
    .join('; ')
  const minted = await rest.call('POST', '/api/api-keys', { headers: { cookie }, body: { name: 'cli-laptop', scope: 'write' } })
  expect(minted).toMatchObject({ status: 201, body: { plaintext_key: expect.stringMatching(/^ak_live_/) } })
  const whoami = await rest.call('GET', '/api/v1/users/me', { key: minted.body.plaintext_key })
  expect(whoami).toMatchObject({ status: 200, body: { id: rest.acme.owner.userId, email, name: 'acme', active_workspace_name: 'acme' } })
  expect((await rest.call('GET', '/api/v1/users/me/api-key', { key: minted.body.plaintext_key })).body).toMatchObject({
    name: 'cli-laptop',
    key_prefix: minted.body.plaintext_key.slice(0, 12),
    scope: 'write',
    expires_at: null,
  })
})

describe('projects', () => {
  it('are listed with the numbers of what they contain, and shown with lists of it', async () => {
    const { id } = (await send('POST', '/projects', { name: 'Shop', description: 'Sells' })).body
    const service = await createService({ name: 'Api', project_id: id })
    const database = (await send('POST', '/databases', { name: 'Orders', project_id: id })).body
    const redis = (await send('POST', '/redis', { name: 'Cache', project_id: id })).body
    const summary = { web_services: 1, postgresql: 1, redis: 1, object_storage: 0, email: 0 }
    const listed = (await get('/projects')).projects.find((project: Item) => project.name === 'Shop')
    expect(listed).toMatchObject({ id, description: 'Sells', workspace_id: rest.acme.organizationId, service_summary: summary })
    expect([listed.created_at, listed.updated_at]).toEqual([expect.any(String), expect.any(String)])
    expect(await get(`/projects/${id}`)).toEqual({
      ...listed,
      web_services_list: [service],
      databases_list: [{ ...database, postgres_version: expect.stringMatching(/^\d/) }],
      redis_list: [{ ...redis, redis_version: expect.stringMatching(/^\d/) }],
    })
  })
})

describe('service create', () => {
  it('with a name alone has the defaults of the contract, and is deployed once it has a repository', async () => {
    const made = await createService({ name: 'Plain' })
    expect(made).toMatchObject({
      ...{ status: 'stopped', project_type: 'web_service', source_type: 'git', image_ref: null, dockerfile_path: null, auto_deploy: false },
      ...{ git_repository_url: null, github_branch: 'main', port: 8080, min_instances: 1, max_instances: 1 },
    })
    expect((await get(`/projects/${made.project_id}`)).name).toBe('Default')
    expect(await act(`/web-services/${made.id}/deploy`)).toMatchObject({ status: 400 })
    await send('PATCH', `/web-services/${made.id}`, { git_repository_url: 'https://github.com/acme/plain' })
    expect(await act(`/web-services/${made.id}/deploy`)).toMatchObject({ status: 201, body: { status: 'pending', branch: 'main' } })
    expect(await get(`/web-services/${made.id}`)).toMatchObject({ status: 'deploying', github_repo_full_name: 'acme/plain' })
  })

  it('stores and returns what is sent, with variables', async () => {
    const body = {
      ...{
        name: 'Full',
        project_type: 'worker',
        source_type: 'git',
        git_repository_url: 'https://github.com/acme/full',
        github_branch: 'trunk',
      },
      ...{ port: 3000, build_command: 'make', start_command: 'run', dockerfile_path: 'deploy/Dockerfile', root_directory: 'app' },
      ...{ min_instances: 2, max_instances: 5, auto_deploy: true },
    }
    const made = await createService({ ...body, env_vars: [{ key: 'TOKEN', value: 'created-with', is_secret: true }] })
    expect(made).toMatchObject(body)
    expect(await get(`/web-services/${made.id}`)).toEqual(made)
    expect((await get(`/web-services/${made.id}/env`)).environment_variables).toMatchObject([{ key: 'TOKEN', is_secret: true }])
  })

  it('from an image stores it, and a deployment says that images cannot be deployed yet', async () => {
    const made = await createService({ name: 'Image', source_type: 'image', image_ref: 'nginx:1.27' })
    expect(made).toMatchObject({ source_type: 'image', image_ref: 'nginx:1.27', git_repository_url: null })
    for (const path of ['deploy', 'deployments']) {
      const refused = await act(`/web-services/${made.id}/${path}`)
      expect(refused).toMatchObject({ status: 400, body: { detail: expect.stringContaining('Images cannot be deployed yet') } })
    }
    const changed = await send('PATCH', `/web-services/${made.id}`, {
      source_type: 'git',
      image_ref: null,
      git_repository_url: 'https://github.com/a/b',
    })
    expect(changed.body).toMatchObject({ source_type: 'git', image_ref: null })
    expect(await act(`/web-services/${made.id}/deploy`)).toMatchObject({ status: 201 })
  })

  it.each([
    [{ source_type: 'docker' }, 'source_type'],
    [{ image_ref: 'nginx latest' }, 'image_ref'],
    [{ image_ref: '-v' }, 'image_ref'],
    [{ dockerfile_path: '../Dockerfile' }, 'dockerfile_path'],
    [{ auto_deploy: 'yes' }, 'auto_deploy'],
  ])('%j answers 400 and names %s', async (bad, field) => {
    const answer = await send('POST', '/web-services', { name: 'Bad', ...bad })
    expect(answer).toMatchObject({ status: 400 })
    expect(answer.body.detail).toMatch(new RegExp(`^${field}: `))
  })
})

describe('deployments', () => {
  it('have logs as text, are found by the beginning of their id among the last hundred, and are rolled back to', async () => {
    const { id } = await createService({ name: 'Deployed', git_repository_url: 'https://github.com/acme/deployed' })
    const first = (await act(`/web-services/${id}/deployments`)).body
    await print(rest, { webServiceId: id, deploymentId: first.id }, [{ at: new Date('2026-01-02T03:04:05.678Z'), message: 'building' }])
    await goLive(rest, first.id)
    const second = (await act(`/web-services/${id}/deployments`)).body
    await goLive(rest, second.id)
    const found: Item[] = (await get(`/web-services/${id}/deployments?limit=100`)).deployments
    expect(found.map((each) => [each.id, each.is_live, each.status])).toEqual([
      [second.id, true, 'running'],
      [first.id, false, 'running'],
    ])
    expect(await get(`/web-services/${id}/deployments/${first.id}`)).toMatchObject({
      build_logs: '2026-01-02T03:04:05.678Z building\n',
      commit_sha: 'c'.repeat(40),
      trigger_type: 'api',
      image_ref: null,
      error_message: null,
    })
    expect(await act(`/web-services/${id}/deployments/${first.id}/rollback`)).toMatchObject({
      status: 201,
      body: { rollback_from_deployment_id: first.id, status: 'pending' },
    })
    expect(await act(`/web-services/${id}/stop`)).toMatchObject({ status: 200, body: { id } })
    expect(await act(`/web-services/${id}/restart`)).toMatchObject({ status: 200, body: { id } })
    expect((await get(`/web-services/${id}/logs?tail=1000&since=1790157595`)).logs).toBe('')
  })
})

describe('env', () => {
  it('set sends the ids of existing variables, and delete finds a variable by its key', async () => {
    const { id } = await createService({ name: 'Env' })
    const url = `/web-services/${id}/env`
    const set = (variables: object[]) => send('PUT', `${url}/bulk`, { variables })
    const [stored] = (await set([{ key: 'PORT', value: '1', is_secret: true }])).body.environment_variables
    const answer = await set([
      { id: stored.id, key: 'PORT', value: '3000', is_secret: true },
      { key: 'MODE', value: 'on', is_secret: false },
    ])
    expect(answer).toMatchObject({ status: 200, body: { total: 2 } })
    expect(await get(`${url}/reveal-all`)).toMatchObject({
      environment_variables: [
        { key: 'MODE', value: 'on', is_secret: false },
        { id: stored.id, key: 'PORT', value: '3000', is_secret: true },
      ],
    })
    const mode = (await get(url)).environment_variables.find((each: Item) => each.key === 'MODE')
    expect(await send('DELETE', `${url}/${mode.id}`)).toMatchObject({ status: 204 })
    expect((await get(url)).environment_variables).toMatchObject([{ key: 'PORT' }])
  })
})

describe('plans', () => {
  it.each(['web_service', 'postgresql', 'redis'])(
    'of a %s have the fields of the contract, UUIDs, and cost nothing',
    async (serviceType) => {
      const { plans } = await get(`/plans?service_type=${serviceType}`)
      expect(plans.length).toBeGreaterThan(0)
      expect(new Set(plans.map(({ slug }: Item) => slug)).size).toBe(plans.length)
      for (const plan of plans) {
        expect(plan).toMatchObject({
          id: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
          slug: expect.stringMatching(/^[a-z-]+$/),
          name: expect.any(String),
          service_type: serviceType,
          monthly_price_cents: 0,
        })
        for (const limit of ['cpu_limit', 'memory_limit_mb', 'storage_limit_gb']) expect(plan).toHaveProperty(limit)
      }
    },
  )

  it('never change their ids', async () => {
    const plans: Item[] = (await get('/plans')).plans
    expect(Object.fromEntries(plans.map((plan) => [`${plan.service_type}/${plan.slug}`, plan.id]))).toEqual({
      'web_service/standard': 'c8cd3fd5-70cd-5cc8-a78f-5612d280dd30',
      'postgresql/standard': '775f1bd9-871a-517c-8a88-c4173793fb3e',
      'postgresql/medium': 'b4144469-1a18-5f39-8e55-6144f406e715',
      'postgresql/large': '1e74e195-fbaf-52da-83f7-88dc12755355',
      'redis/standard': 'e32f87d0-26a5-51bb-9714-b9ac21f750a3',
      'redis/medium': '438dc935-5080-591b-8794-44702c0b98d6',
      'redis/large': '063fa7b7-4e01-54a7-8fee-0bbe61e901d7',
      'redis/extra-large': '2c37390d-a60f-5361-9e64-8a54ddb31981',
    })
  })

  it('of an unknown type answer 400', async () => {
    expect(await send('GET', '/plans?service_type=mysql')).toMatchObject({
      status: 400,
      body: { detail: 'service_type: must be one of web_service, postgresql, redis' },
    })
  })
})

describe('db', () => {
  it('create takes the plan, whose limits the database has and whose name is shown', async () => {
    const redis = (await send('POST', '/redis', { name: 'Big', plan_id: await planId('redis', 'medium') })).body
    expect(redis).toMatchObject({ kind: 'valkey', plan_name: 'Medium (512 MiB)', memory_limit_mb: 512, storage_limit_gb: null })
    const database = (await send('POST', '/databases', { name: 'Wide', plan_id: (await planId('postgresql', 'large')).toUpperCase() })).body
    expect(database).toMatchObject({ kind: 'postgresql', plan_name: 'Large (200 connections)', memory_limit_mb: null })
    const listed: Item[] = (await get('/databases?limit=100')).databases
    expect(listed).toEqual(expect.arrayContaining([redis, database]))
    const plain = [
      (await send('POST', '/redis', { name: 'Plain' })).body,
      (await send('POST', '/databases', { name: 'Plain', plan_id: null })).body,
    ]
    expect(plain.map((each) => each.plan_name)).toEqual(['Standard (128 MiB)', 'Standard (50 connections)'])
  })

  it('create answers 404 for a plan that does not exist or is of another kind, and creates nothing', async () => {
    const before = (await get('/databases')).total
    for (const id of [await planId('redis', 'medium'), await planId('web_service', 'standard'), rest.acme.organizationId, 'large']) {
      expect(await send('POST', '/databases', { name: 'No', plan_id: id })).toMatchObject({
        status: 404,
        body: { detail: expect.stringContaining('no such plan') },
      })
    }
    expect(await send('POST', '/redis', { name: 'No', plan_id: await planId('postgresql', 'large') })).toMatchObject({ status: 404 })
    expect(await send('POST', '/redis', { name: 'No', plan_id: 5 })).toMatchObject({
      status: 400,
      body: { detail: 'plan_id: must be a string' },
    })
    expect((await get('/databases')).total).toBe(before)
  })

  it('start, stop and delete take the ID of either kind below /databases', async () => {
    for (const [path, kind] of [
      ['/databases', 'postgresql'],
      ['/redis', 'valkey'],
    ]) {
      const { id } = (await send('POST', path!, { name: 'Either' })).body
      expect(await get(`/databases/${id}`)).toMatchObject({ id, kind })
      expect(await act(`/databases/${id}/stop`)).toMatchObject({ status: 200, body: { id, kind, status: 'stopping' } })
      expect(await act(`/databases/${id}/start`)).toMatchObject({ status: 200, body: { id, kind } })
      expect(await send('DELETE', `/databases/${id}`)).toMatchObject({ status: 204 })
      expect(await get(`/databases/${id}`)).toMatchObject({ status: 'pending_deletion' })
    }
  })

  it.each([
    ['/databases', 'database', 'postgresql', 'DATABASE_URL'],
    ['/databases', 'postgresql', 'postgresql', 'DATABASE_URL'],
    ['/redis', 'redis', 'valkey', 'REDIS_URL'],
    ['/redis', 'valkey', 'valkey', 'REDIS_URL'],
  ])('connect: one of %s as the target_type %s', async (path, word, kind, env_var_key) => {
    const { id: service } = await createService({ name: 'Connected' })
    const { id } = (await send('POST', path, { name: 'Target' })).body
    expect(await send('POST', `/web-services/${service}/connections`, { target_type: word, target_id: id })).toMatchObject({
      status: 201,
      body: { id: expect.any(String), target_type: kind, target_id: id, env_var_key },
    })
  })

  it.each(['mysql', 'Database', 'constructor', ''])('connect with the target_type %j answers 400', async (word) => {
    const { id: service } = await createService({ name: 'Unconnected' })
    const refused = await send('POST', `/web-services/${service}/connections`, { target_type: word, target_id: service })
    expect(refused).toMatchObject({ status: 400, body: { detail: expect.stringMatching(/^target_type: /) } })
  })
})
