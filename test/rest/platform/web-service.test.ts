import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rows, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { statementsOf } from '../../support/tenant.ts'
import { startRest, type TestServer } from '../support.ts'
import { goLive, print, setRuntime } from './platform-support.ts'

let rest: TestServer
let key: string
beforeAll(async () => {
  rest = await startRest([platformDialect], { ROUTER_DOMAIN: 'apps.example.com' })
  key = rest.acme.key.ADMIN
})
afterAll(() => rest.close())

const url = 'https://github.com/acme/web.git'
const post = (path: string, body?: unknown, headers?: Record<string, string>) => rest.call('POST', path, { key, body, headers })
const make = async (body: object = {}) => (await post('/api/web-services', { name: 'Web', git_repository_url: url, ...body })).body
const get = async (id: string) => (await rest.call('GET', `/api/web-services/${id}`, { key })).body
const deploy = async (id: string) => (await post(`/api/web-services/${id}/deployments`)).body

describe('creating a web service', () => {
  it('needs only a name: default project, port 8080, one instance, branch main', async () => {
    const made = await post('/api/web-services', { name: 'Plain' })
    expect(made).toMatchObject({
      status: 201,
      body: {
        name: 'Plain',
        status: 'stopped',
        url: 'http://plain.apps.example.com:4080',
        subdomain: 'plain',
        project_type: 'web_service',
        environment: 'production',
        source_type: 'git',
        image_ref: null,
        git_repository_url: null,
        github_branch: 'main',
        github_repo_full_name: null,
        port: 8080,
        min_instances: 1,
        max_instances: 1,
      },
    })
    const again = await post('/api/web-services', { name: 'Plain' })
    expect(again.body.project_id).toBe(made.body.project_id)
    expect(again.body.subdomain).toMatch(/^plain-\w{4}$/)
    expect((await rest.call('GET', `/api/projects/${made.body.project_id}`, { key })).body.name).toBe('Default')
  })

  it('accepts and returns every setting by its name, deploys nothing, and ignores unknown fields', async () => {
    const project = (await post('/api/projects', { name: 'Full' })).body
    const settings = {
      name: 'Full',
      subdomain: 'full-web',
      project_id: project.id,
      project_type: 'static_site',
      environment: 'staging',
      source_type: 'git',
      image_ref: 'registry.example.com/acme/site:1',
      dockerfile_path: 'Dockerfile',
      auto_deploy: true,
      git_repository_url: 'git@github.com:acme/site.git',
      github_branch: 'trunk',
      port: 3000,
      build_command: 'make',
      pre_deploy_command: 'make migrate',
      start_command: 'make run',
      health_check_path: '/health',
      root_directory: 'site',
      publish_directory: 'public',
      min_instances: 2,
      max_instances: 3,
    }
    const made = await post('/api/web-services', { ...settings, colour: 1 })
    expect(made).toMatchObject({ status: 201, body: { ...settings, github_repo_full_name: 'acme/site' } })
    expect((await rest.call('GET', `/api/web-services/${made.body.id}/deployments`, { key })).body).toEqual({ deployments: [], total: 0 })
    expect(await get(made.body.id)).toEqual(made.body)
  })

  it('creates a missing environment with the first service, once for several concurrent requests', async () => {
    const project = (await post('/api/projects', { name: 'Stages' })).body
    const body = { name: 'Api', project_id: project.id, environment: 'development' }
    const made = await Promise.all(Array.from({ length: 4 }, () => post('/api/web-services', body)))
    expect(made.map(({ status }) => status)).toEqual([201, 201, 201, 201])
    const found = await rows<{ type: string }>(
      rest.app.db,
      sql`select type::text from environment where project_id = ${project.id}::uuid order by id`,
    )
    expect(found.map(({ type }) => type)).toEqual(['PRODUCTION', 'DEVELOPMENT'])
  })

  it('removes credentials from the repository URL and never returns them', async () => {
    const made = await make({ git_repository_url: 'https://user:t0ken@git.example.com/a/b.git' })
    expect(made.git_repository_url).toBe('https://git.example.com/a/b.git')
    expect(JSON.stringify([made, await get(made.id)])).not.toContain('t0ken')
  })

  it('returns no url for a worker', async () => {
    expect(await make({ project_type: 'worker' })).toMatchObject({ project_type: 'worker', url: null })
  })

  it.each([
    [{ project_type: 'lambda' }, 'project_type'],
    [{ project_type: 'odoo' }, 'project_type'],
    [{ environment: 'qa' }, 'environment'],
    [{ port: 70000 }, 'port'],
    [{ port: '3000' }, 'port'],
    [{ min_instances: 0 }, 'min_instances'],
    [{ min_instances: 3, max_instances: 2 }, 'max_instances'],
    [{ git_repository_url: 'ext::sh' }, 'git_repository_url'],
    [{ github_branch: '-x' }, 'github_branch'],
    [{ root_directory: '../etc' }, 'root_directory'],
  ])('%j answers 400 and names %s', async (bad, field) => {
    const answer = await post('/api/web-services', { name: 'Bad', ...bad })
    expect(answer).toMatchObject({ status: 400 })
    expect(answer.body.detail).toMatch(new RegExp(`^${field}: `))
  })

  it('answers 404 for an unknown or foreign project, 409 for a taken subdomain', async () => {
    const foreign = await rest.call('POST', '/api/projects', { key: rest.other.key.ADMIN, body: { name: 'Theirs' } })
    for (const id of [foreign.body.id, newId(), 'nope']) {
      expect(await post('/api/web-services', { name: 'Lost', project_id: id })).toMatchObject({ status: 404 })
    }
    await make({ subdomain: 'taken' })
    expect(await post('/api/web-services', { name: 'Second', subdomain: 'taken' })).toMatchObject({ status: 409 })
  })
})

describe('updating and deleting a web service', () => {
  it('PATCH changes the given fields, keeps the omitted ones and clears those that are null', async () => {
    const { id, ...made } = await make({ build_command: 'make', start_command: 'run' })
    const changed = await rest.call('PATCH', `/api/web-services/${id}`, {
      key,
      body: { name: 'New', build_command: null, max_instances: 2 },
    })
    expect(changed.status).toBe(200)
    expect(changed.body).toEqual({
      ...made,
      id,
      name: 'New',
      build_command: null,
      max_instances: 2,
      updated_at: expect.any(String),
    })
  })

  it('If-Match with an outdated ETag answers 409 and changes nothing', async () => {
    const { id } = await make()
    const read = await rest.call('GET', `/api/web-services/${id}`, { key })
    const patch = (name: string, tag: string) =>
      rest.call('PATCH', `/api/web-services/${id}`, { key, body: { name }, headers: { 'if-match': tag } })
    const first = await patch('First', read.headers.etag!)
    expect(first.status).toBe(200)
    expect(first.headers.etag).not.toBe(read.headers.etag)
    expect(await patch('Second', read.headers.etag!)).toMatchObject({ status: 409 })
    expect(await patch('Second', 'nonsense')).toMatchObject({ status: 400 })
    expect((await get(id)).name).toBe('First')
    expect(await patch('Third', '*')).toMatchObject({ status: 200 })
  })

  it('DELETE answers 204 without a body and again for the same idempotency key; the service is pending_deletion until it is removed', async () => {
    const { id } = await make()
    const remove = () => rest.call('DELETE', `/api/web-services/${id}`, { key, headers: { 'idempotency-key': `delete ${id}` } })
    expect(await remove()).toMatchObject({ status: 204, text: '' })
    expect((await get(id)).status).toBe('pending_deletion')
    expect(await rest.call('PATCH', `/api/web-services/${id}`, { key, body: { name: 'x' } })).toMatchObject({ status: 404 })
    await (await rest.app.db.prismaClient()).webService.delete({ where: { id } })
    expect(await remove()).toMatchObject({ status: 204 })
    expect(await rest.call('DELETE', `/api/web-services/${id}`, { key })).toMatchObject({ status: 404 })
  })

  it('DELETE requires the scope admin; a write key gets 403', async () => {
    const { id } = await make()
    expect(await rest.call('DELETE', `/api/web-services/${id}`, { key: rest.acme.key.WRITE })).toMatchObject({ status: 403 })
    expect(await rest.call('PATCH', `/api/web-services/${id}`, { key: rest.acme.key.WRITE, body: { name: 'x' } })).toMatchObject({
      status: 200,
    })
  })

  it('a repeated creation returns the first response by its idempotency key even after the service is removed', async () => {
    const create = () => post('/api/web-services', { name: 'Brief' }, { 'idempotency-key': 'brief' })
    const first = await create()
    await (await rest.app.db.prismaClient()).webService.delete({ where: { id: first.body.id } })
    expect(await create()).toMatchObject({ status: 201, body: { id: first.body.id, name: 'Brief', status: 'stopped' } })
  })
})

describe('the status of a web service', () => {
  it('follows the desired and the observed state', async () => {
    const { id } = await make()
    const status = async () => (await get(id)).status
    const act = async (action: string) => (await post(`/api/web-services/${id}/${action}`)).body.status
    expect(await status()).toBe('stopped')
    expect(await post(`/api/web-services/${id}/start`)).toMatchObject({ status: 409 })
    const first = await deploy(id)
    expect(await status()).toBe('deploying')
    await goLive(rest, first.id)
    expect(await status()).toBe('starting')
    await setRuntime(rest, id, 'RUNNING')
    expect(await status()).toBe('running')
    await setRuntime(rest, id, 'DEGRADED')
    expect(await status()).toBe('running')
    await setRuntime(rest, id, 'CRASHED')
    expect(await status()).toBe('failed')
    await setRuntime(rest, id, 'RUNNING')
    expect(await act('stop')).toBe('stopping')
    await setRuntime(rest, id, 'STOPPED')
    expect(await act('stop')).toBe('stopped')
    expect(await act('start')).toBe('starting')
    await setRuntime(rest, id, 'RUNNING')
    await (await rest.app.db.prismaClient()).instance.create({
      data: {
        id: newId(),
        organizationId: rest.acme.organizationId,
        webServiceId: id,
        deploymentId: first.id,
        generation: 0,
        status: 'RUNNING',
      },
    })
    expect(await status()).toBe('running')
    expect(await act('restart')).toBe('restarting')
    await (await rest.app.db.prismaClient()).instance.updateMany({ where: { webServiceId: id }, data: { generation: 1 } })
    expect(await status()).toBe('running')
  })

  it('is failed if its only deployment failed, and stopped if it was cancelled', async () => {
    const { id } = await make()
    const { id: deploymentId } = await deploy(id)
    const failure = { failurePhase: 'BUILD', failureCode: 'BUILD_FAILED', failureMessage: 'no', finishedAt: new Date() } as const
    await (await rest.app.db.prismaClient()).deployment.update({ where: { id: deploymentId }, data: { status: 'FAILED', ...failure } })
    expect((await get(id)).status).toBe('failed')
    const next = await deploy(id)
    await post(`/api/web-services/${id}/deployments/${next.id}/cancel`)
    expect((await get(id)).status).toBe('stopped')
  })

  it.each(['start', 'stop', 'restart'])('%s accepts no body, an empty body and {}', async (action) => {
    const { id } = await make()
    await goLive(rest, (await deploy(id)).id)
    const path = `/api/web-services/${id}/${action}`
    const answers = [
      await rest.call('POST', path, { key }),
      await rest.call('POST', path, { key, payload: '', headers: { 'content-type': 'application/json' } }),
      await rest.call('POST', path, { key, body: {} }),
      await rest.call('POST', `${path}/`, { key, payload: '', headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  })
})

it('the list contains all services or those of one project, oldest first, in three statements besides the key check', async () => {
  const project = (await post('/api/projects', { name: 'Listed' })).body
  const ids: string[] = []
  for (const name of ['A', 'B', 'C']) ids.push((await make({ name, project_id: project.id })).id)
  const listed = async (query: string) => (await rest.call('GET', `/api/web-services${query}`, { key })).body
  const idsOf = (body: { web_services: { id: string }[] }) => body.web_services.map(({ id }) => id)
  expect(idsOf(await listed(`?project_id=${project.id}`))).toEqual(ids)
  expect(await listed(`?project_id=${newId()}`)).toEqual({ web_services: [], total: 0 })
  expect(await listed('?limit=1')).toMatchObject({ web_services: [{}], total: (await listed('')).web_services.length })
  const counts: number[] = []
  for (let time = 0; time < 3; time++) {
    const statements = await statementsOf(rest.app, () => listed(''))
    counts.push(statements.filter((text) => !text.includes('api_key')).length)
  }
  // What the process does by the clock may fall into one of them.
  expect(Math.min(...counts)).toBe(3)
})

describe('the logs of a web service', () => {
  const logs = async (id: string, query = '') => rest.call('GET', `/api/web-services/${id}/logs${query}`, { key })

  it('are lines with an ISO time and text, by default the last hundred', async () => {
    const { id } = await make()
    expect((await logs(id)).body).toEqual({ logs: '', container_id: null, timestamp: expect.stringMatching(/^\d{4}-.*\dZ$/) })
    const instanceId = newId()
    const at = new Date('2026-01-02T03:04:05.678Z')
    const lines = Array.from({ length: 150 }, (_, index) => ({ at, message: `line ${index}`, instanceId }))
    await print(rest, { webServiceId: id }, lines)
    const read = (await logs(id)).body
    expect(read.container_id).toBe(instanceId)
    expect(read.logs.split('\n')).toEqual([...lines.slice(50).map(({ message }) => `2026-01-02T03:04:05.678Z ${message}`), ''])
  })

  it('tail and since apply together; since is inclusive', async () => {
    const { id } = await make()
    const seconds = [100, 200, 200, 300]
    await print(
      rest,
      { webServiceId: id },
      seconds.map((second, index) => ({ at: new Date(second * 1000), message: `${index}` })),
    )
    const messages = async (query: string) => ((await logs(id, query)).body.logs as string).replaceAll(/^\S+ /gm, '').trim().split('\n')
    expect(await messages('?since=200')).toEqual(['1', '2', '3'])
    expect(await messages('?since=201')).toEqual(['3'])
    expect(await messages('?since=100&tail=2')).toEqual(['2', '3'])
    expect(await messages('?tail=1')).toEqual(['3'])
    expect(await messages('?since=999')).toEqual([''])
  })

  it('are complete over many batches', async () => {
    const { id } = await make()
    const lines = Array.from({ length: 6_000 }, (_, index) => ({ message: `${index} ${'x'.repeat(400)}` }))
    await print(rest, { webServiceId: id }, lines)
    const read = ((await logs(id, '?tail=10000')).body.logs as string).trim().split('\n')
    expect(read).toHaveLength(6_000)
    expect(read.at(-1)).toContain(' 5999 x')
  })

  it.each(['tail=0', 'tail=10001', 'tail=abc', 'since=abc', 'since=1.5', 'since=-5', 'since=999999999999999'])(
    '%s answers 400',
    async (query) => {
      const { id } = await make()
      const answer = await logs(id, `?${query}`)
      expect(answer).toMatchObject({ status: 400 })
      expect(answer.body.detail).toMatch(new RegExp(`^${query.split('=')[0]}: `))
      if (query.startsWith('since')) expect(answer.body.detail).toContain('unix seconds')
    },
  )
})
