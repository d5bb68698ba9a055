/** A pipeline's view: environments are deployed, started and stopped by an oec key, polled until the task ends, whatever happens to the server. */
import { describe, expect, it } from 'vitest'
import { acceptance, type Data, until } from './support.ts'

const world = acceptance({ RATE_LIMITS: 'oec-ro=100000,oec-rw=100000' })

type Answer = { status: number; body: Data }

/** An environment of its own project with one service, and calls with an oec key. */
async function environment(name: string, settings: Data = {}, files = {}) {
  const repository = await world.app('lab', files)
  const { project } = await world.mutate('createProject', { name }, 'project { id environments { nodes { id } } }')
  const service = await world.service({ projectId: project.id, name, repositoryUrl: repository.url, ...settings })
  const { plaintextKey } = await world.mutate('createApiKey', { name, kind: 'OEC', scope: 'WRITE', projectId: project.id }, 'plaintextKey')
  const call = async (method: string, path: string, body?: Data): Promise<Answer> => {
    const response = await fetch(new URL(path, world.server.url), {
      method,
      headers: { authorization: `Bearer ${plaintextKey}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    return { status: response.status, body: (await response.json()) as Data }
  }
  const path = `/api/public/v1/environments/${project.environments.nodes[0].id}`
  const act = async (action: string, body?: Data) => {
    const answer = await call('POST', `${path}/actions/${action}`, body)
    if (answer.status !== 202) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const task = async ({ poll_url }: Data) => (await call('GET', poll_url)).body
  return {
    repository,
    service,
    call,
    path,
    act,
    task,
    state: async () => (await call('GET', `${path}/status`)).body,
    ended: (begun: Data) =>
      until(
        'the task ends',
        async () => {
          const now = await task(begun)
          return now.completed_at && now
        },
        200_000,
      ),
  }
}

describe.concurrent('an environment, by an oec key', () => {
  it('is deployed, redeployed with the same commit, stopped and started, and says so', async () => {
    const shop = await environment('Shop', { healthCheckPath: '/' })
    const first = await shop.ended(await shop.act('deploy'))
    expect(first).toMatchObject({ status: 'completed', type: 'deploy', progress_percent: 100, deployments: [{ status: 'completed' }] })
    await until('it answers', async () => (await shop.state()).http_ok)
    expect(await shop.state()).toMatchObject({ status: 'running', container_running: true, db_ready: true, http_ok: true })
    expect((await world.server.router(shop.service.slug)).status).toBe(200)

    await shop.repository.commit({ 'version.txt': 'v2' }, 'second')
    const again = await shop.ended(await shop.act('redeploy'))
    expect(again).toMatchObject({ status: 'completed', type: 'redeploy' })
    expect(again.deployments[0].commit).toBe(first.deployments[0].commit)
    const newest = await shop.ended(await shop.act('deploy'))
    expect(newest.deployments[0].commit).not.toBe(first.deployments[0].commit)
    const back = await shop.ended(await shop.act('deploy', { commit: first.deployments[0].commit }))
    expect(back.deployments[0].commit).toBe(first.deployments[0].commit)

    expect(await shop.ended(await shop.act('stop'))).toMatchObject({ status: 'completed', type: 'stop' })
    expect(await shop.state()).toMatchObject({ status: 'stopped', container_running: false, http_ok: false })
    expect((await world.server.router(shop.service.slug)).status).toBe(503)
    expect(await shop.ended(await shop.act('start'))).toMatchObject({ status: 'completed', type: 'start' })
    expect(await shop.state()).toMatchObject({ status: 'running', http_ok: true })
    const [before] = (await world.read(shop.service)).instances
    expect(await shop.ended(await shop.act('restart'))).toMatchObject({ status: 'completed', type: 'restart' })
    await until('the former instance is gone', async () => {
      const { instances } = await world.read(shop.service)
      return !instances.some(({ id }: Data) => id === before.id)
    })
    expect((await world.server.router(shop.service.slug)).status).toBe(200)

    const log = (await shop.call('GET', `${shop.path}/logs`)).body
    expect(log.task_id).toBe(back.id)
    expect(log.log).toMatch(/The deployment is live\.\n/)
    expect((await shop.call('GET', `${shop.path}/deployments`)).body.items.map(({ type }: Data) => type)).toEqual([
      'restart',
      'start',
      'stop',
      'deploy',
      'deploy',
      'redeploy',
      'deploy',
    ])
  })

  it('whose build fails has a failed task with the reason, and keeps its former release', async () => {
    const shop = await environment('Failing')
    await shop.ended(await shop.act('deploy'))
    await world.mutate('updateWebService', { id: shop.service.id, buildCommand: 'echo this cannot work; exit 3' }, 'webService { id }')
    const failed = await shop.ended(await shop.act('redeploy'))
    expect(failed).toMatchObject({ status: 'failed', error_message: expect.stringMatching(/^Failing: .*exited with code 3/) })
    expect((await shop.call('GET', `${shop.path}/logs`)).body.log).toMatch(/this cannot work\n/)
    expect(await shop.state()).toMatchObject({ status: 'running' })
    expect((await world.server.router(shop.service.slug)).status).toBe(200)
  })

  it('refuses a second action, and is free again once the first one was cancelled', async () => {
    const gate = await world.gate()
    const shop = await environment('Cancelled', { buildCommand: gate.wait })
    const begun = await shop.act('deploy')
    await until('it builds', () => gate.arrivals() === 1)
    expect(await shop.call('POST', `${shop.path}/deploy`)).toMatchObject({
      status: 409,
      body: { error: 'task_in_progress', task_id: begun.task_id },
    })
    await until('its step is named', async () => (await shop.task(begun)).current_step === 'Building Cancelled')
    const { operation_id } = await shop.task(begun)
    await world.mutate('cancelOperation', { id: operation_id }, 'operation { status }')
    expect(await shop.ended(begun)).toMatchObject({ status: 'cancelled', deployments: [{ status: 'cancelled' }] })
    gate.open()
    expect(await shop.ended(await shop.act('deploy'))).toMatchObject({ status: 'completed' })
  })
})

it('an action whose server is killed in the middle is completed by the next one', async () => {
  const gate = await world.gate()
  const shop = await environment('Killed', { buildCommand: gate.wait })
  const begun = await shop.act('deploy')
  await until('it builds', () => gate.arrivals() === 1)
  await until('its step is named', async () => (await shop.task(begun)).current_step === 'Building Killed')
  await world.server.kill('SIGKILL')
  gate.open()
  await world.server.start()
  expect(await shop.ended(begun)).toMatchObject({ status: 'completed', progress_percent: 100, deployments: [{ status: 'completed' }] })
  expect((await world.server.router(shop.service.slug)).status).toBe(200)
  expect((await shop.call('GET', `${shop.path}/deployments`)).body.total).toBe(1)
})
