/** Webhook endpoints: the rows, and what a receiver is sent by a running worker. */
import { createHmac } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { Webhook } from 'svix'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { deployWebService } from '../../../src/domain/deploys/deployment/index.ts'
import { deliverWebhooks } from '../../../src/domain/webhooks/attempt/jobs.ts'
import { fanOutEvents } from '../../../src/domain/webhooks/delivery/jobs.ts'
import { contractBodies, createWebhookEndpoint, outgoingHttp } from '../../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../../src/drivers/http/index.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { createEgressGuard } from '../../../src/platform/egress.ts'
import { createWebhookBody, ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { createWebhookBody as createOecBody } from '../../../src/rest/oec/index.ts'
import { type Receiver, startReceiver } from '../../support/receiver.ts'
import { until } from '../../support/wait.ts'
import { ocoreKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let jobs: Jobs
let receiver: Receiver

beforeAll(async () => {
  rest = await startRest([ocoreDialect], { WORKER_LEASE_MS: '10000' }, ocoreKeys)
  outgoingHttp.provide(rest.app, createHttpOutgoing({ guard: createEgressGuard({ allow: rest.app.settings.EGRESS_ALLOW }) }))
  contractBodies.provide(rest.app, { OEC: createOecBody(rest.app), OCORE: createWebhookBody(rest.app) })
  jobs = startJobs(rest.app, { queues: [deliverWebhooks], chores: [fanOutEvents], worker: 'worker' })
  receiver = await startReceiver()
})
afterAll(async () => {
  await jobs?.stop({ graceMs: 0 })
  await receiver?.close()
  await outgoingHttp.use(rest.app).close()
  await rest?.close()
})

const request = () => ({ app: rest.app, caller: rest.acme.owner, requestId: 'test' })
const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  rest.call(method, `/api/webhook-endpoints${path}`, { key: rest.acme.key.ADMIN, body, headers })
const create = async (body: object = {}) => (await call('POST', '', { url: receiver.url, events: ['deployment.completed'], ...body })).body

describe('the rows', () => {
  it('an endpoint is created, read, listed, changed and deleted', async () => {
    const { signingSecret, ...endpoint } = await create({ description: 'CI', events: ['deployment.failed', 'backup.completed'] })
    expect(signingSecret).toMatch(/^whsec_/)
    expect(endpoint).toMatchObject({
      url: receiver.url,
      ...{ events: ['deployment.failed', 'backup.completed'], description: 'CI', active: true, secret: true },
    })
    const path = `/${endpoint.id}`
    expect(await call('GET', path)).toMatchObject({ status: 200, body: endpoint })
    expect((await call('GET', '')).body.data).toContainEqual(endpoint)
    const changes = { events: ['deployment.triggered'], active: false, description: null }
    expect(await call('PATCH', path, changes)).toMatchObject({ status: 200, body: { ...changes, id: endpoint.id, url: receiver.url } })
    expect((await call('PATCH', path, { active: true })).body).toMatchObject({ active: true, events: ['deployment.triggered'] })
    expect(await call('DELETE', path)).toMatchObject({ status: 200, body: { message: 'Webhook endpoint deleted' } })
    expect(await call('GET', path)).toMatchObject({ status: 404 })
  })

  it('an endpoint of GraphQL is listed with its own event types', async () => {
    const input = { url: receiver.url, eventTypes: ['secret.*', 'deployment.succeeded'] }
    const { webhookEndpoint } = await execute(request(), createWebhookEndpoint, input)
    expect((await call('GET', `/${webhookEndpoint.id}`)).body.events).toEqual(['secret.*', 'deployment.completed'])
    await call('DELETE', `/${webhookEndpoint.id}`)
  })

  it('the secret is returned once', async () => {
    const body = { url: receiver.url, events: ['deployment.failed'] }
    const [first, second] = [
      await call('POST', '', body, { 'idempotency-key': 'once' }),
      await call('POST', '', body, { 'idempotency-key': 'once' }),
    ]
    expect(second).toMatchObject({ status: 201, body: { ...first.body, signingSecret: null } })
    await call('DELETE', `/${first.body.id}`)
  })

  const url = 'https://hooks.example.com'
  it.each([
    [{ events: ['deployment.failed'] }, 'url', 'required'],
    [{ url }, 'events', 'required'],
    [{ url, events: [] }, 'events', 'required'],
    [{ url, events: 'deployment.failed' }, 'events', 'type'],
    [{ url, events: ['deployment.nope'] }, 'events.0', 'invalid'],
    [{ url, events: ['deployment.failed'], active: 'yes' }, 'active', 'type'],
    [{ url, events: ['deployment.failed'], secret: 'short' }, 'secret', 'invalid'],
    [{ url: 'ftp://x', events: ['deployment.failed'] }, 'url', 'invalid'],
  ])('%j answers 400 and names %s', async (body, field, constraint) => {
    expect(await call('POST', '', body)).toMatchObject({
      status: 400,
      body: { error: { code: 'validation_error', details: { field, constraint } } },
    })
  })
})

/** The body of a request, if it was signed with this secret. */
function verify(body: Buffer, headers: IncomingHttpHeaders, secret: string): unknown {
  new Webhook(secret).verify(body, headers as Record<string, string>)
  return JSON.parse(body.toString())
}

describe('a receiver', () => {
  it('is sent events in the words of the contract, under the headers of Standard Webhooks', async () => {
    const { project } = await execute(request(), createProject, { name: 'Shop' })
    const service = { name: 'Web', projectId: project.id, repositoryUrl: 'https://git.example.com/web.git' }
    const { webService } = await execute(request(), createWebService, service)
    const endpoint = await create({ events: ['deployment.triggered'] })
    const before = receiver.requests.length
    const { deployment } = await execute(request(), deployWebService, { webServiceId: webService.id, branch: 'next' })
    await receiver.waitFor((all) => all.length > before)
    const { headers, body } = receiver.requests[before]!
    expect(headers['webhook-id']).toMatch(/^evt_/)
    expect(verify(body, headers, endpoint.signingSecret)).toEqual({
      event: 'deployment.triggered',
      timestamp: expect.any(String),
      data: {
        deploymentId: deployment.id,
        instanceId: webService.id,
        projectId: project.id,
        environmentId: webService.environmentId,
        ...{ branch: 'next', commitSha: null, status: 'pending', errorMessage: null, restoredDeploymentId: null },
      },
    })
    await call('DELETE', `/${endpoint.id}`)
  })

  it.each([
    ['deployment.completed', { status: 'completed', environmentId: null, commitSha: expect.any(String) }],
    ['deployment.failed', { status: 'failed', errorMessage: expect.any(String) }],
    ['deployment.rolled_back', { status: 'completed', restoredDeploymentId: expect.stringMatching(/^[0-9a-f-]{36}$/) }],
    ['server.created', { serverId: expect.stringMatching(/^[0-9a-f-]{36}$/), name: expect.any(String), host: expect.any(String) }],
    ['server.active', { serverId: expect.stringMatching(/^[0-9a-f-]{36}$/) }],
    ['backup.completed', { backupId: expect.stringMatching(/^[0-9a-f-]{36}$/), checksum: expect.any(String) }],
    ['server.active', { serverId: expect.stringMatching(/^[0-9a-f-]{36}$/), host: expect.any(String) }],
    ['backup.failed', { sizeBytes: null, errorMessage: expect.any(String) }],
  ])('is sent %s as a test', async (event, data) => {
    const endpoint = await create({ events: [event] })
    const before = receiver.requests.length
    expect(await call('POST', `/${endpoint.id}/test`, { event })).toMatchObject({ status: 202, body: { status: 'pending' } })
    await receiver.waitFor((all) => all.length > before)
    expect(JSON.parse(receiver.requests[before]!.body.toString())).toMatchObject({ event, data })
    await call('DELETE', `/${endpoint.id}`)
  })

  it('can verify requests with the UTF-8 bytes of its own secret', async () => {
    const secret = 'größer als nichts'
    const endpoint = await create({ secret })
    expect(endpoint).toMatchObject({ secret: true, signingSecret: null })
    const before = receiver.requests.length
    await call('POST', `/${endpoint.id}/test`, {})
    await receiver.waitFor((all) => all.length > before)
    const { body, headers } = receiver.requests[before]!
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
    expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', Buffer.from(secret, 'utf8')).update(signed).digest('base64')}`)
    await call('DELETE', `/${endpoint.id}`)
  })

  it('shows its deliveries in pages, and is sent one of them again, or all that failed', async () => {
    let status = 500
    const flaky = await startReceiver({ script: () => ({ status }) })
    const endpoint = await create({ url: flaky.url })
    const sent: string[] = []
    for (let count = 0; count < 3; count++) sent.unshift((await call('POST', `/${endpoint.id}/test`, {})).body.id)
    const deliveries = async (query = '') => (await call('GET', `/${endpoint.id}/deliveries${query}`)).body
    await until('the deliveries have failed', async () =>
      (await deliveries()).data.every(({ status }: { status: string }) => status === 'failed'),
    )
    const first = await deliveries('?limit=2')
    expect(first.data).toMatchObject([
      { id: sent[0], endpointId: endpoint.id, event: 'webhook.test', attempts: 1, responseStatus: 500, nextAttemptAt: null },
      { id: sent[1] },
    ])
    expect(await deliveries(`?limit=2&cursor=${first.next_cursor}`)).toMatchObject({ data: [{ id: sent[2] }], has_more: false })
    status = 204
    const path = `/${endpoint.id}/deliveries/${sent[1]}/replay`
    expect(await call('POST', path)).toMatchObject({ status: 202, body: { id: sent[1], status: 'pending', message: 'Delivery queued' } })
    await until('it is delivered', async () => (await deliveries()).data[1].status === 'delivered')
    const other = await create()
    expect(await call('POST', `/${other.id}/deliveries/${sent[1]}/replay`)).toMatchObject({ status: 202 })
    const since = '2026-01-01T00:00:00Z'
    expect(await call('POST', `/${endpoint.id}/replay`, { since })).toMatchObject({ status: 202, body: { message: 'Replay queued' } })
    expect(await call('POST', `/${endpoint.id}/replay`, {})).toMatchObject({
      status: 400,
      body: { error: { details: { field: 'since' } } },
    })
    await call('PATCH', `/${endpoint.id}`, { active: false })
    for (const replay of [path, `/${endpoint.id}/replay`])
      expect(await call('POST', replay, { since })).toMatchObject({ status: 422, body: { error: { code: 'unprocessable' } } })
    await flaky.close()
  })
})
