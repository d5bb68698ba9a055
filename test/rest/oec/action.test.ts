/** Actions on environments and their tasks, by oec keys and in GraphQL, over one domain. The pipeline itself is not run here. */
import { parse, subscribe } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { operationQueue } from '../../../src/domain/access/operation/jobs.ts'
import { cancelDeployment, deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { runEnvironmentAction } from '../../../src/domain/deploys/environment-action/index.ts'
import { openLogWriter } from '../../../src/domain/deploys/log/index.ts'
import { createGraphqlContext } from '../../../src/graphql/context.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { decodeId, encodeId } from '../../../src/platform/id.ts'
import { oecDialect } from '../../../src/rest/oec/index.ts'
import * as environments from '../../support/environment.ts'
import { request } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { type Call, oecKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let jobs: Jobs
beforeAll(async () => {
  rest = await startRest([oecDialect], { RATE_LIMITS: 'oec-ro=100000,oec-rw=100000' }, oecKeys)
  jobs = startJobs(rest.app, { queues: [operationQueue], chores: [], worker: 'one' })
})
afterAll(async () => {
  await jobs?.stop({ graceMs: 0 })
  await rest?.close()
})

const owner = () => request(rest.app, rest.acme.owner)
const call = (method: string, path: string, given: Call = {}) =>
  rest.call(method, `/api/public/v1${path}`, { key: rest.acme.key.WRITE, ...given })
const get = (path: string) => call('GET', path, { key: rest.acme.key.READ })

/** An environment with services. */
async function createShop(...names: string[]) {
  const shop = await environments.createShop(rest.app, rest.acme.owner, ...names)
  return { ...shop, id: encodeId('Environment', shop.environmentId), path: `/environments/${encodeId('Environment', shop.environmentId)}` }
}
type Shop = Awaited<ReturnType<typeof createShop>>

const become = (status: 'RUNNING' | 'LIVE' | 'FAILED', { services }: Shop) =>
  environments.become(rest.app, status, ...services.map(({ id }) => id))

const act = async ({ path }: Shop, action: string, body: object = {}) => (await call('POST', `${path}/actions/${action}`, { body })).body

const ended = (taskId: string) =>
  until('the task ends', async () => {
    const { body } = await get(`/deployments/${taskId}`)
    return body.completed_at && body
  })

describe('an action', () => {
  it('is answered at once with its task, which is polled until it is complete', async () => {
    const shop = await createShop('api', 'web')
    const { status, body } = await call('POST', `${shop.path}/actions/deploy`, { body: { tag: 'v1.2' } })
    expect(status).toBe(202)
    expect(body).toEqual({
      task_id: expect.stringMatching(/^task_[0-9a-z]{26}$/),
      status: 'queued',
      environment_id: shop.id,
      poll_url: `/api/public/v1/deployments/${body.task_id}`,
    })
    const poll = async () => (await rest.call('GET', body.poll_url, { key: rest.acme.key.READ })).body
    expect(await poll()).toMatchObject({
      id: body.task_id,
      type: 'deploy',
      environment_id: shop.id,
      progress_percent: 0,
      total_steps: 12,
      completed_at: null,
      operation_id: encodeId('Operation', decodeId('Task', body.task_id)),
      deployments: [
        { service: 'api', status: 'queued', branch: 'main', commit: null },
        { service: 'web', status: 'queued', error_message: null },
      ],
    })
    await become('RUNNING', shop)
    await until('the step is named', async () => (await poll()).current_step === 'Running the release command of api')
    expect(await poll()).toMatchObject({ status: 'running', progress_percent: 33, steps_completed: 4, error_message: null })
    await become('LIVE', shop)
    expect(await ended(body.task_id)).toMatchObject({
      status: 'completed',
      progress_percent: 100,
      current_step: null,
      duration_seconds: expect.any(Number),
      deployments: [{ status: 'completed', commit: 'a'.repeat(40) }, { status: 'completed' }],
    })
  })

  it('that fails names the service and the reason', async () => {
    const shop = await createShop('api')
    const { task_id } = await act(shop, 'redeploy')
    await become('FAILED', shop)
    expect(await ended(task_id)).toMatchObject({
      type: 'redeploy',
      status: 'failed',
      error_message: 'api: The build command exited with code 1.',
      deployments: [{ status: 'failed', error_message: 'The build command exited with code 1.' }],
    })
  })

  it('a deployment by itself that fails has completed the phases before the failure, and those that were not required', async () => {
    const shop = await createShop('api')
    const { deployment } = await execute(owner(), deployWebService, { webServiceId: shop.services[0]!.id })
    await become('FAILED', shop)
    const failed = async () => (await get(`/deployments/${encodeId('Task', deployment.id)}`)).body
    expect(await failed()).toMatchObject({ status: 'failed', progress_percent: 16, steps_completed: 1, total_steps: 6 })
    const step = sql`deployment_id = ${deployment.id}::uuid and phase = 'PREPARE'`
    await run(rest.app.db, sql`update deployment_step set status = 'SKIPPED' where ${step}`)
    expect(await failed()).toMatchObject({ progress_percent: 16, steps_completed: 1 })
  })

  it('is refused while another one or a deployment is in progress, which the error names', async () => {
    const shop = await createShop('api')
    const { task_id } = await act(shop, 'deploy')
    const message = 'Another action or a deployment is in progress in this environment. Wait for it to end, or cancel it.'
    for (const action of ['deploy', 'redeploy', 'stop']) {
      const { status, body } = await call('POST', `${shop.path}/actions/${action}`)
      expect({ status, body }).toEqual({ status: 409, body: { error: 'task_in_progress', message, task_id } })
    }
    await become('LIVE', shop)
    await ended(task_id)
    const { deployment } = await execute(owner(), deployWebService, { webServiceId: shop.services[0]!.id })
    expect(await call('POST', `${shop.path}/actions/restart`)).toMatchObject({
      status: 409,
      body: { error: 'task_in_progress', task_id: encodeId('Task', deployment.id) },
    })
  })

  it('starts, stops and restarts what was deployed, and is complete when that is observed', async () => {
    const shop = await createShop('api')
    const { task_id } = await act(shop, 'deploy')
    await become('LIVE', shop)
    await ended(task_id)
    const service = shop.services[0]!.id
    for (const [action, observed] of [
      ['start', 'RUNNING'],
      ['restart', 'RUNNING'],
      ['stop', 'STOPPED'],
    ] as const) {
      await environments.observe(rest.app, 'DEGRADED', service)
      const begun = await act(shop, action)
      expect((await get(`/deployments/${begun.task_id}`)).body).toMatchObject({ type: action, deployments: [], completed_at: null })
      await environments.observe(rest.app, observed, service)
      expect(await ended(begun.task_id)).toMatchObject({ type: action, status: 'completed', progress_percent: 100 })
    }
  })

  it('repeated with the same idempotency key, by either header, has the same task', async () => {
    for (const header of ['idempotency-key', 'x-idempotency-key']) {
      const shop = await createShop('api')
      const begin = () => call('POST', `${shop.path}/actions/deploy`, { headers: { [header]: shop.id } })
      const first = await begin()
      expect(first.status).toBe(202)
      expect(await begin()).toMatchObject({ status: 202, body: first.body })
    }
  })

  it('has an alias without /actions, and updates of modules one more; without a service they answer 422', async () => {
    const { path } = await createShop()
    for (const action of ['deploy', 'redeploy', 'start', 'stop', 'restart'])
      for (const url of [`${path}/actions/${action}`, `${path}/${action}`])
        expect(await call('POST', url), url).toMatchObject({ status: 422, body: { message: 'The environment has no web service.' } })
    for (const url of [`${path}/actions/update-modules`, `${path}/update-modules`, `${path}/quick-update`])
      expect(await call('POST', url, { body: { mode: 'update_specific', modules: ['sale'] } }), url).toMatchObject({
        status: 422,
        body: { error: 'validation_error', message: 'The environment has no Odoo service, and only Odoo services have modules.' },
      })
  })

  it.each<[object, number, string, unknown]>([
    [{}, 400, 'mode', 'is required to update modules'],
    [{ mode: 5 }, 400, 'mode', expect.any(String)],
    [{ mode: 'everything' }, 422, 'mode', expect.any(String)],
    [{ mode: 'update_specific' }, 400, 'modules', 'must name at least one module in this mode'],
    [{ mode: 'update_specific', modules: 'sale' }, 400, 'modules', 'must be a list'],
    [{ mode: 'update_specific', modules: ['no such; name'] }, 422, 'modules.0', 'must be the technical name of an Odoo module'],
  ])('update-modules with %j answers %i and names %s', async (body, status, field, message) => {
    const { path } = await createShop('api')
    const answer = await call('POST', `${path}/actions/update-modules`, { body })
    expect(answer).toMatchObject({ status, body: { error: 'validation_error', detail: [{ field, message }] } })
  })

  it.each([
    [{ tag: '--force' }, 'tag'],
    [{ commit: '--force' }, 'commit'],
    [{ tag: 'v1', commit: '--force' }, 'commit'],
    [{ tag: '--force', commit: null }, 'tag'],
  ])('deploy with %j names the field that was sent', async (body, field) => {
    const { path } = await createShop('api')
    const { status, body: refused } = await call('POST', `${path}/actions/deploy`, { body })
    expect(status).toBe(422)
    expect(refused).toMatchObject({ message: expect.stringContaining(`${field}: `), detail: [{ field }] })
  })

  it('update_modules is accepted where something is deployed, has no effect without an Odoo service, and must be a boolean', async () => {
    for (const action of ['deploy', 'redeploy'])
      for (const place of ['/actions', '']) {
        const { path } = await createShop('api')
        const send = (update_modules: unknown) => call('POST', `${path}${place}/${action}`, { body: { update_modules } })
        expect(await send('yes')).toMatchObject({
          status: 400,
          body: { error: 'validation_error', detail: [{ field: 'update_modules', message: 'must be true or false' }] },
        })
        const begun = await send(true)
        expect(begun.status).toBe(202)
        expect((await get(`/deployments/${begun.body.task_id}`)).body).toMatchObject({ type: action, deployments: [{ service: 'api' }] })
      }
  })

  it('of a branch that git would take for an option is refused, and nothing begins', async () => {
    const shop = await createShop('api')
    const answer = await call('POST', `${shop.path}/actions/deploy`, { body: { branch: '--upload-pack=x' } })
    expect(answer).toMatchObject({ status: 422, body: { error: 'validation_error', detail: [{ field: 'branch' }] } })
    expect((await get(`${shop.path}/deployments`)).body).toMatchObject({ items: [], total: 0 })
  })

  it('needs a key with full access, of this project', async () => {
    const [shop, other] = [await createShop('api'), await createShop('api')]
    expect(await call('POST', `${shop.path}/actions/deploy`, { key: rest.acme.key.READ })).toMatchObject({
      status: 403,
      body: { error: 'read_only_key' },
    })
    const input = { name: 'ci', kind: 'OEC', scope: 'WRITE', projectId: shop.projectId } as const
    const key = (await execute(owner(), createApiKey, input)).plaintextKey!
    expect(await call('POST', `${other.path}/actions/deploy`, { key })).toMatchObject({ status: 404, body: { error: 'not_found' } })
    const begun = await call('POST', `${shop.path}/actions/deploy`, { key })
    expect(begun.status).toBe(202)
    expect((await call('GET', `/deployments/${begun.body.task_id}`, { key })).body).toMatchObject({ type: 'deploy' })
    const foreign = await act(other, 'deploy')
    expect(await call('GET', `/deployments/${foreign.task_id}`, { key })).toMatchObject({ status: 404 })
  })
})

describe('one domain', () => {
  it('a deployment begun by an oec key is followed in GraphQL', async () => {
    const shop = await createShop('api')
    const { task_id } = await act(shop, 'deploy')
    const { operation_id, deployments } = (await get(`/deployments/${task_id}`)).body
    const follow = async (name: string, argument: string, id: string) => {
      const document = parse(`subscription ($id: ID!) { ${name}(${argument}: $id) { status } }`)
      const states = await subscribe({ schema, document, variableValues: { id }, contextValue: createGraphqlContext(owner()) })
      if (!(Symbol.asyncIterator in states)) throw new Error(JSON.stringify(states))
      const seen: string[] = []
      for await (const { data } of states) {
        seen.push((data as Record<string, { status: string }>)[name]!.status)
        if (seen.length === 1) begun.add(name)
      }
      return seen
    }
    const begun = new Set<string>()
    const followed = Promise.all([
      follow('operationUpdated', 'id', operation_id),
      follow('deploymentUpdated', 'deploymentId', deployments[0].id),
    ])
    await until('both follow', () => begun.size === 2)
    await become('LIVE', shop)
    rest.app.wake.notify(`deployment:${decodeId('Deployment', deployments[0].id)}`)
    const [operation, deployment] = await followed
    expect([operation.at(-1), deployment.at(-1)]).toEqual(['COMPLETED', 'LIVE'])
    expect(deployment[0]).toBe('QUEUED')
  })

  it('actions and deployments begun in GraphQL are tasks of the environment, newest first', async () => {
    const shop = await createShop('api')
    const webServiceId = shop.services[0]!.id
    const { operation } = await execute(owner(), runEnvironmentAction, { environmentId: shop.id, action: 'DEPLOY' })
    await become('LIVE', shop)
    await ended(encodeId('Task', operation.id))
    const { deployment } = await execute(owner(), deployWebService, { webServiceId, branch: 'next' })
    const task = encodeId('Task', deployment.id)
    const list = async (query = '') => (await get(`${shop.path}/deployments${query}`)).body
    expect(await list()).toMatchObject({
      total: 2,
      page: 1,
      page_size: 20,
      items: [
        {
          id: task,
          type: 'deploy',
          status: 'queued',
          operation_id: null,
          current_step: 'Waiting to deploy api',
          total_steps: 6,
          deployments: [{ id: encodeId('Deployment', deployment.id), branch: 'next' }],
        },
        { id: encodeId('Task', operation.id), type: 'deploy', status: 'completed', deployments: [{ service: 'api' }] },
      ],
    })
    expect((await list('?page=2&page_size=1')).items.map(({ id }: { id: string }) => id)).toEqual([encodeId('Task', operation.id)])
    await execute(owner(), cancelDeployment, { id: deployment.id })
    expect(await ended(task)).toMatchObject({ status: 'cancelled', error_message: null, current_step: null })
  })

  it('the deployments of an action are not tasks of their own', async () => {
    const shop = await createShop('api')
    const { task_id } = await act(shop, 'deploy')
    const { deployments } = (await get(`/deployments/${task_id}`)).body
    const own = encodeId('Task', decodeId('Deployment', deployments[0].id))
    expect(await get(`/deployments/${own}`)).toMatchObject({ status: 404 })
    expect((await get(`${shop.path}/deployments`)).body.total).toBe(1)
  })
})

describe('the state of an environment', () => {
  it('says whether services run and answer, whether databases are ready, and when it was deployed', async () => {
    const shop = await createShop('api')
    const health = async () => (await get(`${shop.path}/status`)).body
    const nothing = { status: 'pending', container_running: false, db_ready: true, http_ok: false, last_deploy: null }
    expect(await health()).toMatchObject({ ...nothing, url: expect.stringMatching(/^http:\/\/api[-\w]*\.localhost:4080$/) })
    const { task_id } = await act(shop, 'deploy')
    await become('LIVE', shop)
    await ended(task_id)
    await run(rest.app.db, sql`update web_service set desired_state = 'RUNNING' where id = ${shop.services[0]!.id}::uuid`)
    await environments.observe(rest.app, 'STARTING', shop.services[0]!.id)
    const read = async () => (await get(shop.path)).body.status
    expect([(await health()).status, await read()]).toEqual(['pending', 'pending'])
    await environments.observe(rest.app, 'DEGRADED', shop.services[0]!.id)
    expect([(await health()).status, await read()]).toEqual(['running', 'running'])
    const last_deploy = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(await health()).toMatchObject({ container_running: true, http_ok: false, last_deploy })
    await environments.observe(rest.app, 'RUNNING', shop.services[0]!.id)
    expect(await health()).toMatchObject({ status: 'running', container_running: true, http_ok: true, db_ready: true, last_deploy })
    await environments.observe(rest.app, 'CRASHED', shop.services[0]!.id)
    expect(await health()).toMatchObject({ status: 'failed', container_running: false, http_ok: false })
  })

  it('the log is that of the newest task that deploys, with the name of the service if there are several', async () => {
    const shop = await createShop('api', 'web')
    expect((await get(`${shop.path}/logs`)).body).toEqual({ task_id: null, log: '', lines: 0, truncated: false })
    const { task_id } = await act(shop, 'deploy')
    for (const { id, name } of shop.services) {
      const log = await row<{ id: string }>(
        rest.app.db,
        sql`select l.id from log l join deployment d on d.id = l.deployment_id where d.web_service_id = ${id}::uuid`,
      )
      const writer = openLogWriter(rest.app, { logId: log!.id })
      await writer.say(`builds ${name}`)
      await writer.close()
    }
    const { body } = await get(`${shop.path}/logs`)
    expect(body).toEqual({
      task_id,
      log: expect.stringMatching(/^\S+Z \[api\] builds api\n\S+Z \[web\] builds web\n$/),
      lines: 2,
      truncated: false,
    })
    expect((await get(`/deployments/${task_id}/logs`)).body).toEqual(body)
  })
})
