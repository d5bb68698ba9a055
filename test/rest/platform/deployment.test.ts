import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Prisma } from '../../../src/generated/prisma/client.ts'
import { newId } from '../../../src/platform/id.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'
import { goLive, print } from './platform-support.ts'

let rest: TestServer
let key: string
beforeAll(async () => {
  rest = await startRest([platformDialect])
  key = rest.acme.key.WRITE
})
afterAll(() => rest.close())

const post = (path: string, body?: unknown) => rest.call('POST', path, { key, body })
const makeService = async (): Promise<string> =>
  (await post('/api/web-services', { name: 'Web', git_repository_url: 'https://git.example.com/a/b.git' })).body.id
const deploy = async (id: string, body?: unknown) => (await post(`/api/web-services/${id}/deployments`, body)).body
const change = async (id: string, data: Prisma.DeploymentUncheckedUpdateInput) =>
  (await rest.app.db.prismaClient()).deployment.update({ where: { id }, data })
const get = async (service: string, id: string) => (await rest.call('GET', `/api/web-services/${service}/deployments/${id}`, { key })).body

describe('creating a deployment', () => {
  it.each(['deployments', 'deploy'])('POST %s answers 201 with a pending deployment of the service’s branch', async (path) => {
    const service = await makeService()
    const made = await post(`/api/web-services/${service}/${path}`)
    expect(made).toMatchObject({
      status: 201,
      body: {
        web_service_id: service,
        status: 'pending',
        branch: 'main',
        commit_sha: null,
        is_live: false,
        trigger_type: 'api',
        build_logs: '',
        error_message: null,
        rollback_from_deployment_id: null,
        started_at: null,
        finished_at: null,
      },
    })
    expect(await get(service, made.body.id)).toEqual(made.body)
  })

  it('announces the end of the former path in every response, errors too, and of no other path', async () => {
    const service = await makeService()
    const announced = { deprecation: '@1795737600', sunset: 'Fri, 01 Dec 2028 00:00:00 GMT' }
    for (const prefix of ['/api', '/api/v1']) {
      const former = `${prefix}/web-services/${service}/deploy`
      expect(await post(former)).toMatchObject({ status: 201, headers: announced })
      expect(await rest.call('POST', former)).toMatchObject({ status: 401, headers: announced })
      expect(await rest.call('POST', `${prefix}/web-services/nope/deploy`, { key })).toMatchObject({ status: 404, headers: announced })
    }
    const { headers } = await post(`/api/web-services/${service}/deployments`)
    expect([headers.deprecation, headers.sunset]).toEqual([undefined, undefined])
  })

  it('accepts a branch; a malformed one answers 400', async () => {
    const service = await makeService()
    expect(await deploy(service, { branch: 'next' })).toMatchObject({ status: 'pending', branch: 'next' })
    const bad = await post(`/api/web-services/${service}/deployments`, { branch: '--upload-pack=x' })
    expect(bad).toMatchObject({ status: 400 })
    expect(bad.body.detail).toMatch(/^branch: /)
  })

  it('answers 400 for a service without a repository', async () => {
    const service = (await post('/api/web-services', { name: 'Bare' })).body.id
    expect(await post(`/api/web-services/${service}/deployments`)).toMatchObject({ status: 400 })
  })

  it('replaces a waiting deployment, which is then cancelled', async () => {
    const service = await makeService()
    const [first, second, third] = [await deploy(service), await deploy(service), await deploy(service)]
    const statuses = await Promise.all([first, second, third].map(async ({ id }) => (await get(service, id)).status))
    expect(statuses).toEqual(['pending', 'cancelled', 'pending'])
  })
})

describe('the list', () => {
  it('is newest first, ten by default; total is the length of the whole list', async () => {
    const service = await makeService()
    const ids: string[] = []
    for (let count = 0; count < 12; count++) ids.unshift((await deploy(service)).id)
    const list = async (query = '') => (await rest.call('GET', `/api/web-services/${service}/deployments${query}`, { key })).body
    const idsOf = (body: { deployments: { id: string }[] }) => body.deployments.map(({ id }) => id)
    expect(idsOf(await list())).toEqual(ids.slice(0, 10))
    expect((await list()).total).toBe(12)
    expect(idsOf(await list('?limit=100'))).toEqual(ids)
    expect(idsOf(await list('?limit=2&offset=3'))).toEqual(ids.slice(3, 5))
  })

  it('contains no deployments of another service, and answers 404 for an unknown service', async () => {
    const [one, two] = [await makeService(), await makeService()]
    const { id } = await deploy(one)
    expect((await rest.call('GET', `/api/web-services/${two}/deployments`, { key })).body).toEqual({ deployments: [], total: 0 })
    for (const action of ['', '/cancel', '/rollback']) {
      const answer = await rest.call(action === '' ? 'GET' : 'POST', `/api/web-services/${two}/deployments/${id}${action}`, { key })
      expect(answer).toMatchObject({ status: 404, body: { detail: 'The object does not exist.' } })
    }
    expect((await get(one, id)).status).toBe('pending')
  })
})

describe('the status of a deployment', () => {
  const running = { status: 'RUNNING', startedAt: new Date('2026-01-02T03:04:05.678Z') } as const
  const failure = { failurePhase: 'BUILD', failureCode: 'BUILD_FAILED', failureMessage: 'npm ended with 1' } as const
  const finishedAt = new Date('2026-01-02T03:05:00Z')
  it.each<[Prisma.DeploymentUncheckedUpdateInput, object]>([
    [
      { ...running, phase: null },
      { status: 'pending', started_at: '2026-01-02T03:04:05Z' },
    ],
    [{ ...running, phase: 'PREPARE' }, { status: 'cloning' }],
    [{ ...running, phase: 'BUILD' }, { status: 'building' }],
    [{ ...running, phase: 'RELEASE' }, { status: 'deploying' }],
    [{ ...running, phase: 'START' }, { status: 'deploying' }],
    [{ ...running, phase: 'VERIFY' }, { status: 'deploying' }],
    [{ ...running, phase: 'SWITCH' }, { status: 'deploying' }],
    [{ ...running, phase: 'START', kind: 'ROLLBACK' }, { status: 'rolling_back' }],
    [{ ...running, status: 'CANCELLING', phase: 'BUILD' }, { status: 'building' }],
    [
      { status: 'FAILED', ...failure, finishedAt },
      { status: 'failed', error_message: 'npm ended with 1', finished_at: '2026-01-02T03:05:00Z' },
    ],
    [{ status: 'CANCELLED', finishedAt }, { status: 'cancelled' }],
    [{ status: 'SKIPPED', finishedAt }, { status: 'cancelled' }],
    [
      { status: 'SUPERSEDED', finishedAt, commitHash: 'abc', commitMessage: 'why' },
      { status: 'running', is_live: false, commit_sha: 'abc', commit_message: 'why' },
    ],
    [{ trigger: 'GIT_PUSH' }, { trigger_type: 'git_push' }],
    [{ trigger: 'CONFIG_CHANGE' }, { trigger_type: 'config_change' }],
  ])('%j is %j', async (state, words) => {
    const service = await makeService()
    const { id } = await deploy(service)
    await change(id, state)
    expect(await get(service, id)).toMatchObject(words)
  })

  it('a live deployment is running and is_live', async () => {
    const service = await makeService()
    const { id } = await deploy(service)
    await goLive(rest, id)
    expect(await get(service, id)).toMatchObject({ status: 'running', is_live: true })
  })
})

describe('cancel', () => {
  it('returns the cancelled deployment, and answers 409 once it has ended', async () => {
    const service = await makeService()
    const { id } = await deploy(service)
    const path = `/api/web-services/${service}/deployments/${id}/cancel`
    expect(await post(path)).toMatchObject({ status: 200, body: { id, status: 'cancelled', finished_at: expect.any(String) } })
    expect(await post(path)).toMatchObject({ status: 409 })
  })

  it('returns the phase of a running deployment until it has ended, the same for a repeated request', async () => {
    const service = await makeService()
    const { id } = await deploy(service)
    await change(id, { status: 'RUNNING', phase: 'BUILD' })
    const path = `/api/web-services/${service}/deployments/${id}/cancel`
    const first = await post(path)
    expect(first).toMatchObject({ status: 200, body: { status: 'building' } })
    expect(await post(path)).toMatchObject({ status: 200, body: first.body })
  })
})

describe('rollback', () => {
  it('creates a deployment that names its target; a live or failed target answers 409', async () => {
    const service = await makeService()
    const first = await deploy(service)
    await goLive(rest, first.id)
    const second = await deploy(service)
    await goLive(rest, second.id)
    const rollback = (id: string) => post(`/api/web-services/${service}/deployments/${id}/rollback`)
    expect(await rollback(second.id)).toMatchObject({ status: 409 })
    const made = await rollback(first.id)
    expect(made).toMatchObject({
      status: 201,
      body: { status: 'pending', rollback_from_deployment_id: first.id, commit_sha: 'c'.repeat(40), is_live: false },
    })
    expect([first.id, second.id]).not.toContain(made.body.id)
    const third = await deploy(service)
    await change(third.id, {
      status: 'FAILED',
      failurePhase: 'BUILD',
      failureCode: 'BUILD_FAILED',
      failureMessage: 'no',
      finishedAt: new Date(),
    })
    expect(await rollback(third.id)).toMatchObject({ status: 409 })
    expect(await rollback(newId())).toMatchObject({ status: 404 })
  })
})

describe('build_logs', () => {
  it('are the last part of the log, longer for one deployment than in a list', async () => {
    const service = await makeService()
    const { id } = await deploy(service)
    const at = new Date('2026-01-02T03:04:05.678Z')
    const message = (index: number) => `${index} ${'x'.repeat(1_000)}`
    await print(
      rest,
      { webServiceId: service, deploymentId: id },
      Array.from({ length: 1_000 }, (_, index) => ({ at, message: message(index) })),
    )
    const one = (await get(service, id)).build_logs as string
    const listed = (await rest.call('GET', `/api/web-services/${service}/deployments`, { key })).body.deployments[0].build_logs as string
    expect(one.endsWith(`2026-01-02T03:04:05.678Z ${message(999)}\n`)).toBe(true)
    expect(one.startsWith('2026-01-02T03:04:05.678Z ')).toBe(true)
    expect(one.length).toBeGreaterThan(250_000)
    expect(one.length).toBeLessThan(300_000)
    expect(listed.length).toBeGreaterThan(8_000)
    expect(listed.length).toBeLessThan(10_000)
    expect(one.endsWith(listed)).toBe(true)
  })
})
