/** Deployments of the services of a project. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import type { Prisma } from '../../../src/generated/prisma/client.ts'
import { execute } from '../../../src/platform/command.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { goLive } from '../platform/platform-support.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([ocoreDialect], {}, ocoreKeys)
})
afterAll(() => rest?.close())

const call = (method: string, path: string, body?: unknown) => rest.call(method, `/api/projects${path}`, { key: rest.acme.key.ADMIN, body })

const newProject = async (): Promise<string> => (await call('POST', '', { name: 'Shop' })).body.id
async function addService(projectId: string, name = 'Web'): Promise<string> {
  const input = { name, projectId, repositoryUrl: 'https://git.example.com/a/b.git' }
  return (await execute({ app: rest.app, caller: rest.acme.owner, requestId: 'test' }, createWebService, input)).webService.id
}
const deploy = async (projectId: string, body?: unknown) => (await call('POST', `/${projectId}/deployments`, body)).body
const change = async (id: string, data: Prisma.DeploymentUncheckedUpdateInput) =>
  (await rest.app.db.prismaClient()).deployment.update({ where: { id }, data })

describe('triggering', () => {
  it('without anything, the branch of the only service is deployed', async () => {
    const project = await newProject()
    const instanceId = await addService(project)
    const made = await call('POST', `/${project}/deployments`)
    expect(made).toMatchObject({
      status: 202,
      body: { instanceId, status: 'pending', message: 'Deployment queued', branch: 'main', commitSha: null, durationMs: null },
    })
    const { message: _, ...shown } = made.body
    expect((await call('GET', `/${project}/deployments/${made.body.id}`)).body).toEqual(shown)
  })

  it.each([
    [{ branch: 'next' }, 'next', null],
    [{ commitSha: 'a'.repeat(40) }, 'main', 'a'.repeat(40)],
    [{ tag: 'v1.0' }, 'main', 'refs/tags/v1.0'],
    [{ branch: 'next', commitSha: 'abcdef0' }, 'next', 'abcdef0'],
  ])('%j is what the source is asked for', async (body, branch, requestedCommit) => {
    const project = await newProject()
    await addService(project)
    const { id } = await deploy(project, body)
    const row = await (await rest.app.db.prismaClient()).deployment.findUnique({ where: { id } })
    expect(row).toMatchObject({ branch, requestedCommit })
  })

  it.each([
    [{ branch: '--upload-pack=x' }, 'branch'],
    [{ tag: 'a b' }, 'tag'],
    [{ tag: 'v1', commitSha: 'abcdef0' }, 'commitSha'],
    [{ commitSha: 5 }, 'commitSha'],
  ])('%j answers 400 and names %s', async (body, field) => {
    const project = await newProject()
    await addService(project)
    expect(await call('POST', `/${project}/deployments`, body)).toMatchObject({ status: 400, body: { error: { details: { field } } } })
    expect((await call('GET', `/${project}/deployments`)).body.data).toEqual([])
  })

  it('the service is named where a project has several, and 422 says so, as for a project without any', async () => {
    const project = await newProject()
    const refused = (message: string) => ({
      status: 422,
      body: { error: { code: 'unprocessable', message, details: { field: 'instanceId' } } },
    })
    expect(await call('POST', `/${project}/deployments`)).toMatchObject(refused('The project has no service that could be deployed.'))
    const [one, two] = [await addService(project, 'One'), await addService(project, 'Two')]
    expect(await call('POST', `/${project}/deployments`)).toMatchObject(
      refused('The project has several services: name the one to deploy.'),
    )
    for (const instanceId of [one, two]) expect(await deploy(project, { instanceId })).toMatchObject({ instanceId, status: 'pending' })
    const elsewhere = await newProject()
    await addService(elsewhere)
    expect(await call('POST', `/${elsewhere}/deployments`, { instanceId: one })).toMatchObject({
      status: 404,
      body: { error: { details: { field: 'instanceId' } } },
    })
  })
})

it('the list has the deployments of all services, newest first, in pages without a gap', async () => {
  const project = await newProject()
  const [one, two] = [await addService(project, 'One'), await addService(project, 'Two')]
  const made: string[] = []
  for (const instanceId of [one, one, two, one, two, two, one]) made.unshift((await deploy(project, { instanceId })).id)
  const found: string[] = []
  let cursor = ''
  for (let pages = 0; pages < 4; pages++) {
    const { body } = await call('GET', `/${project}/deployments?limit=2${cursor && `&cursor=${cursor}`}`)
    found.push(...body.data.map(({ id }: { id: string }) => id))
    cursor = body.next_cursor
    expect(body.has_more).toBe(pages < 3)
  }
  expect(found).toEqual(made)
  const other = await newProject()
  expect((await call('GET', `/${other}/deployments`)).body).toEqual({ data: [], has_more: false })
  expect(await call('GET', `/${other}/deployments/${made[0]}`)).toMatchObject({ status: 404 })
  expect(await call('POST', `/${other}/deployments/${made[0]}/rollback`)).toMatchObject({ status: 404 })
})

describe('the status', () => {
  const startedAt = new Date('2026-01-02T03:04:05.678Z')
  const finishedAt = new Date('2026-01-02T03:05:00.678Z')
  const failure = { failurePhase: 'BUILD', failureCode: 'BUILD_FAILED', failureMessage: 'npm ended with 1' } as const
  it.each<[Prisma.DeploymentUncheckedUpdateInput, object]>([
    [{ status: 'RUNNING', phase: null }, { status: 'pending' }],
    [{ status: 'RUNNING', phase: 'PREPARE' }, { status: 'building' }],
    [{ status: 'RUNNING', phase: 'BUILD' }, { status: 'building' }],
    [{ status: 'RUNNING', phase: 'RELEASE' }, { status: 'deploying' }],
    [{ status: 'RUNNING', phase: 'SWITCH', kind: 'ROLLBACK' }, { status: 'deploying' }],
    [{ status: 'CANCELLING', phase: 'BUILD' }, { status: 'building' }],
    [
      { status: 'CANCELLED', finishedAt },
      { status: 'cancelled', completedAt: '2026-01-02T03:05:00Z', durationMs: null },
    ],
    [{ status: 'SKIPPED', finishedAt }, { status: 'cancelled' }],
    [
      { status: 'FAILED', ...failure, startedAt, finishedAt },
      { status: 'failed', errorMessage: 'npm ended with 1', durationMs: 55_000 },
    ],
    [
      { status: 'SUPERSEDED', finishedAt, commitHash: 'abc', commitMessage: 'why', commitAuthor: 'Ada' },
      { status: 'completed', commitSha: 'abc', commitMessage: 'why', commitAuthor: 'Ada' },
    ],
  ])('%j is %j', async (state, words) => {
    const project = await newProject()
    await addService(project)
    const { id } = await deploy(project)
    await change(id, state)
    expect((await call('GET', `/${project}/deployments/${id}`)).body).toMatchObject(words)
  })
})

it('a rollback restores an earlier deployment, and the one that it replaces is rolled_back', async () => {
  const project = await newProject()
  await addService(project)
  const live = async (id: string) => {
    await goLive(rest, id)
    return id
  }
  const [first, second, third] = [
    await live((await deploy(project)).id),
    await live((await deploy(project)).id),
    await live((await deploy(project)).id),
  ]
  const path = `/${project}/deployments`
  expect(await call('POST', `${path}/${third}/rollback`)).toMatchObject({ status: 422, body: { error: { code: 'unprocessable' } } })
  const made = await call('POST', `${path}/${first}/rollback`)
  const [environment] = (await rest.call('GET', `/api/environments?projectId=${project}`, { key: rest.acme.key.ADMIN })).body.data
  expect(made).toMatchObject({
    status: 202,
    body: { status: 'pending', message: 'Rollback queued', deploymentId: first, environmentId: environment.id },
  })
  const statuses = async () =>
    Object.fromEntries((await call('GET', path)).body.data.map(({ id, status }: { id: string; status: string }) => [id, status]))
  expect(await statuses()).toEqual({ [made.body.id]: 'pending', [third]: 'completed', [second]: 'completed', [first]: 'completed' })
  await live(made.body.id)
  expect(await statuses()).toEqual({ [made.body.id]: 'completed', [third]: 'rolled_back', [second]: 'completed', [first]: 'completed' })
})
