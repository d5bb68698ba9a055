/** Webhooks: the rows, and what a receiver is sent by a running worker. */
import type { IncomingHttpHeaders } from 'node:http'
import { Webhook } from 'svix'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApiKey } from '../../../src/domain/access/api-key/index.ts'
import { createEnvironment } from '../../../src/domain/apps/environment/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { cancelDeployment, deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { deliverWebhooks } from '../../../src/domain/webhooks/attempt/jobs.ts'
import { fanOutEvents } from '../../../src/domain/webhooks/delivery/jobs.ts'
import { contractBodies, createWebhookEndpoint, outgoingHttp } from '../../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../../src/drivers/http/index.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { createEgressGuard } from '../../../src/platform/egress.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { createWebhookBody as createOcoreBody } from '../../../src/rest/ocore/index.ts'
import { createWebhookBody, oecDialect } from '../../../src/rest/oec/index.ts'
import { type Receiver, startReceiver } from '../../support/receiver.ts'
import { until } from '../../support/wait.ts'
import { oecKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let jobs: Jobs
let receiver: Receiver
let project: { id: string }

beforeAll(async () => {
  rest = await startRest([oecDialect], { WORKER_LEASE_MS: '10000' }, oecKeys)
  outgoingHttp.provide(rest.app, createHttpOutgoing({ guard: createEgressGuard({ allow: rest.app.settings.EGRESS_ALLOW }) }))
  contractBodies.provide(rest.app, { OEC: createWebhookBody(rest.app), OCORE: createOcoreBody(rest.app) })
  jobs = startJobs(rest.app, { queues: [deliverWebhooks], chores: [fanOutEvents], worker: 'worker' })
  receiver = await startReceiver()
  project = (await execute(request(), createProject, { name: 'Shop' })).project
})
afterAll(async () => {
  await jobs?.stop({ graceMs: 0 })
  await receiver?.close()
  await outgoingHttp.use(rest.app).close()
  await rest?.close()
})

/** The body of a request, if it was signed with this secret. */
function verify(body: Buffer, headers: IncomingHttpHeaders, secret: string): unknown {
  new Webhook(secret).verify(body, headers as Record<string, string>)
  return JSON.parse(body.toString())
}

const request = () => ({ app: rest.app, caller: rest.acme.owner, requestId: 'test' })
const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  rest.call(method, `/api/public/v1/webhooks${path}`, { key: rest.acme.key.WRITE, body, headers })
const create = (body: object = {}) => call('POST', '', { url: receiver.url, events: ['deploy.completed'], ...body })

describe('the rows', () => {
  it('a webhook is created, read, listed, changed and deleted', async () => {
    const created = await create({
      description: 'CI',
      project_id: encodeId('Project', project.id),
      events: ['deploy.failed', 'environment.created'],
    })
    expect(created).toMatchObject({
      status: 201,
      body: {
        url: receiver.url,
        events: ['deploy.failed', 'environment.created'],
        description: 'CI',
        project_id: encodeId('Project', project.id),
        format: 'raw',
        is_active: true,
        last_triggered_at: null,
        failure_count: 0,
        secret: expect.stringMatching(/^whsec_/),
      },
    })
    const { secret, ...webhook } = created.body
    const path = `/${webhook.id}`
    expect(await call('GET', path)).toMatchObject({ status: 200, body: webhook })
    expect((await call('GET', '')).body.items).toContainEqual(webhook)
    const changed = await call('PATCH', path, { events: ['deploy.started'], is_active: false, format: 'slack', project_id: null })
    expect(changed).toMatchObject({
      status: 200,
      body: { ...webhook, events: ['deploy.started'], is_active: false, format: 'slack', project_id: null },
    })
    expect((await call('PATCH', path, { is_active: true })).body).toMatchObject({ is_active: true, events: ['deploy.started'] })
    expect(await call('DELETE', path)).toMatchObject({ status: 204, text: '' })
    expect(await call('GET', path)).toMatchObject({ status: 404, body: { error: 'not_found' } })
  })

  it('a webhook can be created inactive', async () => {
    const { body } = await create({ is_active: false })
    expect(body.is_active).toBe(false)
    expect((await call('GET', `/${body.id}`)).body.is_active).toBe(false)
    await call('DELETE', `/${body.id}`)
  })

  it.each([
    [{ events: ['deploy.completed'] }, 400, 'url', 'is required'],
    [{ url: 'https://hooks.example.com' }, 400, 'events', 'is required'],
    [{ url: 'https://hooks.example.com', events: [] }, 400, 'events', 'is required'],
    [{ url: 'https://hooks.example.com', events: 'deploy.completed' }, 400, 'events', 'must be a list'],
    [{ url: 'https://hooks.example.com', events: [7] }, 400, 'events.0', 'must be a string'],
    [{ url: 'https://hooks.example.com', events: ['deploy.nope'] }, 422, 'events.0', 'event type "deploy.nope" does not exist'],
    [
      { url: 'https://hooks.example.com', events: ['deploy.failed'], format: 'xml' },
      422,
      'format',
      'must be one of graphql, slack, teams, discord, raw, ocore',
    ],
    [{ url: 'https://hooks.example.com', events: ['deploy.failed'], is_active: 'yes' }, 400, 'is_active', 'must be true or false'],
    [{ url: 'ftp://x', events: ['deploy.failed'] }, 422, 'url', expect.any(String)],
  ])('%j answers %i and names %s', async (body, status, field, message) => {
    expect(await call('POST', '', body)).toMatchObject({
      status,
      body: { error: 'validation_error', detail: [{ field, message }] },
    })
  })

  it('a repeated request with either header for idempotency keys creates nothing, and has no secret', async () => {
    for (const header of ['idempotency-key', 'x-idempotency-key']) {
      const body = { url: receiver.url, events: ['deploy.completed'] }
      const [first, second] = [await call('POST', '', body, { [header]: header }), await call('POST', '', body, { [header]: header })]
      expect(second).toMatchObject({ status: 201, body: { ...first.body, secret: null } })
      await call('DELETE', `/${first.body.id}`)
    }
  })

  it('an endpoint of GraphQL is listed with its own event types', async () => {
    const { webhookEndpoint } = await execute(request(), createWebhookEndpoint, {
      url: receiver.url,
      eventTypes: ['secret.*', 'deployment.failed'],
    })
    expect((await call('GET', `/${webhookEndpoint.id}`)).body).toMatchObject({ events: ['secret.*', 'deploy.failed'], format: 'graphql' })
    await call('DELETE', `/${webhookEndpoint.id}`)
  })

  it('a key of a project sees and creates webhooks of that project only', async () => {
    const { plaintextKey } = await execute(request(), createApiKey, { name: 'ci', kind: 'OEC', scope: 'WRITE', projectId: project.id })
    const narrow = (method: string, path: string, body?: unknown) =>
      rest.call(method, `/api/public/v1/webhooks${path}`, { key: plaintextKey!, body })
    const wide = (await create()).body
    expect(await narrow('GET', `/${wide.id}`)).toMatchObject({ status: 404 })
    const own = await narrow('POST', '', { url: receiver.url, events: ['deploy.completed'] })
    expect(own.body.project_id).toBe(encodeId('Project', project.id))
    expect((await narrow('GET', '')).body).toMatchObject({ total: 1, items: [{ id: own.body.id }] })
    for (const { id } of [own.body, wide]) await call('DELETE', `/${id}`)
  })
})

describe('a receiver', () => {
  /** Creates a webhook for one event of the contract, causes the event, and returns the request. */
  async function received(event: string, cause: () => Promise<unknown>) {
    const { body: webhook } = await create({ events: [event] })
    const before = receiver.requests.length
    await cause()
    const requests = await receiver.waitFor((all) => all.length > before)
    const { headers, body } = requests[before]!
    const payload = verify(body, headers, webhook.secret)
    await call('DELETE', `/${webhook.id}`)
    return { headers, payload, webhook }
  }

  const environmentOf = async (name: string) =>
    (await execute(request(), createEnvironment, { projectId: project.id, name, type: 'STAGING' })).environment

  it('is sent events in the words of the contract, under the headers of Standard Webhooks', async () => {
    let id = ''
    const { headers, payload } = await received('environment.created', async () => {
      id = (await environmentOf('Staging')).id
    })
    expect(headers).toMatchObject({
      'webhook-id': expect.stringMatching(/^evt_/),
      'webhook-timestamp': expect.stringMatching(/^\d+$/),
      'webhook-signature': expect.stringMatching(/^v1,/),
    })
    expect(payload).toEqual({
      event: 'environment.created',
      timestamp: expect.any(String),
      data: {
        environment_id: encodeId('Environment', id),
        project_id: encodeId('Project', project.id),
        name: 'Staging',
        environment_type: 'staging',
      },
    })
  })

  it('is told the environment of a deployment', async () => {
    const environment = await environmentOf('Second')
    const input: CommandInput = {
      name: 'Web',
      projectId: project.id,
      environmentId: environment.id,
      repositoryUrl: 'https://git.example.com/web.git',
    }
    const { webService } = await execute(request(), createWebService, input)
    const { deployment } = await execute(request(), deployWebService, { webServiceId: webService.id, branch: 'main' })
    const { payload } = await received('deploy.cancelled', () => execute(request(), cancelDeployment, { id: deployment.id }))
    expect(payload).toEqual({
      event: 'deploy.cancelled',
      timestamp: expect.any(String),
      data: {
        deployment_id: encodeId('Deployment', deployment.id),
        environment_id: encodeId('Environment', environment.id),
        service_id: encodeId('WebService', webService.id),
        project_id: encodeId('Project', project.id),
        branch: 'main',
        commit: null,
        error_message: null,
      },
    })
  })

  it('is sent a test, whose delivery is listed', async () => {
    const { body: webhook } = await create()
    const before = receiver.requests.length
    const sent = await call('POST', `/${webhook.id}/test`, { event: 'deploy.completed' })
    expect(sent).toMatchObject({ status: 202, body: { webhook_id: webhook.id, event: 'deploy.completed', status: 'pending', attempts: 0 } })
    await receiver.waitFor((all) => all.length > before)
    expect(JSON.parse(receiver.requests[before]!.body.toString())).toMatchObject({
      event: 'deploy.completed',
      data: { environment_id: null },
    })
    await until('the delivery is recorded', async () => {
      const { items } = (await call('GET', `/${webhook.id}/deliveries`)).body
      return items[0]?.status === 'delivered' && items
    })
    expect((await call('GET', `/${webhook.id}/deliveries`)).body).toMatchObject({
      total: 1,
      page: 1,
      page_size: 20,
      items: [
        {
          ...sent.body,
          status: 'delivered',
          attempts: 1,
          response_status: 204,
          next_attempt_at: null,
          last_attempt_at: expect.any(String),
          duration_ms: expect.any(Number),
        },
      ],
    })
    expect((await call('GET', `/${webhook.id}`)).body).toMatchObject({ last_triggered_at: expect.any(String), failure_count: 0 })
    await call('DELETE', `/${webhook.id}`)
  })

  it('that answers 500 is counted as failing', async () => {
    const failing = await startReceiver({ script: () => ({ status: 500 }) })
    const { body: webhook } = await create({ url: failing.url })
    for (const expected of [1, 2]) {
      await call('POST', `/${webhook.id}/test`, {})
      await until('the failure is counted', async () => (await call('GET', `/${webhook.id}`)).body.failure_count === expected)
    }
    expect((await call('GET', `/${webhook.id}/deliveries?page_size=1&page=2`)).body).toMatchObject({
      total: 2,
      items: [{ status: 'failed', response_status: 500, error_message: expect.any(String) }],
    })
    await call('DELETE', `/${webhook.id}`)
    await failing.close()
  })

  it('can verify requests with the new secret only, once it was rotated', async () => {
    const { body: webhook } = await create()
    const rotated = await call('POST', `/${webhook.id}/rotate-secret`)
    expect(rotated).toMatchObject({ status: 200, body: { id: webhook.id, secret: expect.stringMatching(/^whsec_/) } })
    expect(rotated.body.secret).not.toBe(webhook.secret)
    const before = receiver.requests.length
    await call('POST', `/${webhook.id}/test`, {})
    await receiver.waitFor((all) => all.length > before)
    const { body, headers } = receiver.requests[before]!
    expect(verify(body, headers, rotated.body.secret)).toMatchObject({ event: 'webhook.test' })
    expect(() => verify(body, headers, webhook.secret)).toThrow()
    await call('DELETE', `/${webhook.id}`)
  })
})
