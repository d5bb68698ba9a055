import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keepMirror } from '../../../src/domain/webhooks/attempt/jobs.ts'
import {
  deleteWebhookEndpoint,
  dispatcherPort,
  rotateWebhookSecret,
  updateWebhookEndpoint,
} from '../../../src/domain/webhooks/endpoint/index.ts'
import { createSvixDispatcher } from '../../../src/drivers/svix/index.ts'
import type { Caller } from '../../../src/platform/access.ts'
import { execute } from '../../../src/platform/command.ts'
import { eventTypes } from '../../../src/platform/events.ts'
import { encodeId } from '../../../src/platform/id.ts'
import type { TestApp } from '../../support/app.ts'
import { until } from '../../support/wait.ts'
import { attempts, createEndpoint, createOrganization, createWorld, deliveries, settled, tell, type World } from './support.ts'

type Asked = { method: string; path: string; body: Record<string, unknown>; headers: IncomingMessage['headers'] }
type Endpoint = { url: string; secret: string; headers: Record<string, string>; description: string }

/** What of a Svix server's published API is needed, with its answers: applications, endpoints and messages by uid, 409 for a known eventId. */
async function startSvix() {
  const asked: Asked[] = []
  const applications = new Map<string, Map<string, Endpoint>>()
  const messages = new Map<string, Set<string>>()
  const state = { down: false, refuse: 0, loseAnswers: 0 }

  const answer = (response: ServerResponse, status: number, body?: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(body === undefined ? undefined : JSON.stringify(body))
  const missing = (response: ServerResponse) => answer(response, 404, { code: 'not_found', detail: 'Entity not found' })

  const handle = (request: Asked, response: ServerResponse) => {
    const [, , , first = '', app = '', second = '', endpoint = '', last = ''] = request.path.split('/')
    const now = new Date().toISOString()
    if (first === 'event-type') return answer(response, 200, { name: app, description: '', createdAt: now, updatedAt: now })
    const endpoints = applications.get(app)
    if (request.method === 'POST' && app === '') {
      const uid = String(request.body.uid)
      const made = !applications.has(uid)
      if (made) applications.set(uid, new Map())
      return answer(response, made ? 201 : 200, {
        id: `app_${uid}`,
        uid,
        name: request.body.name,
        createdAt: now,
        updatedAt: now,
        metadata: {},
      })
    }
    if (!endpoints) return missing(response)
    if (second === '' && request.method === 'DELETE') {
      applications.delete(app)
      return answer(response, 204)
    }
    if (second === 'msg') {
      const known = messages.get(app) ?? new Set()
      messages.set(app, known)
      const eventId = String(request.body.eventId)
      if (state.refuse > 0) return answer(response, state.refuse, { code: 'validation', detail: 'payload is not good' })
      if (known.has(eventId)) return answer(response, 409, { code: 'conflict', detail: 'A message with this eventId already exists' })
      known.add(eventId)
      if (state.loseAnswers > 0) {
        state.loseAnswers--
        return response.destroy()
      }
      return answer(response, 202, { id: 'msg_1', eventId, eventType: request.body.eventType, payload: {}, timestamp: now })
    }
    const found = endpoints.get(endpoint)
    const out = (each: Endpoint) => ({ id: 'ep_1', uid: endpoint, version: 1, createdAt: now, updatedAt: now, metadata: {}, ...each })
    if (request.method === 'POST' && endpoint === '') {
      // The open-source server ignores `headers` here.
      const made = {
        url: String(request.body.url),
        secret: String(request.body.secret),
        description: String(request.body.description),
        headers: {},
      }
      endpoints.set(String(request.body.uid), made)
      return answer(response, 201, out(made))
    }
    if (!found) return missing(response)
    if (last === 'secret' && request.method === 'GET') return answer(response, 200, { key: found.secret })
    if (last === 'secret') {
      found.secret = String(request.body.key)
      return answer(response, 204)
    }
    if (last === 'headers') {
      found.headers = request.body.headers as Record<string, string>
      return answer(response, 204)
    }
    found.url = String(request.body.url)
    return answer(response, 200, out(found))
  }

  const server = createServer(async (incoming, response) => {
    const path = decodeURIComponent((incoming.url ?? '').split('?')[0]!)
    const hasBody = incoming.method === 'POST' || incoming.method === 'PUT' || incoming.method === 'PATCH'
    const body = hasBody ? ((await json(incoming).catch(() => ({}))) as Record<string, unknown>) : {}
    if (state.down) return void response.destroy()
    const request = { method: incoming.method ?? '', path, body, headers: incoming.headers }
    if (incoming.headers.authorization !== 'Bearer test-token')
      return void answer(response, 401, { code: 'authentication_failed', detail: 'no' })
    asked.push(request)
    handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    applications,
    messages,
    state,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

let world: World
let caller: Caller
let svix: Awaited<ReturnType<typeof startSvix>>
let app: TestApp

beforeEach(async () => {
  world = await createWorld()
  svix = await startSvix()
  caller = await createOrganization(world.app)
  app = await svixProcess()
})
afterEach(async () => {
  await world?.close()
  await svix?.close()
})

async function svixProcess(token = 'test-token'): Promise<TestApp> {
  const made = await world.process({ WEBHOOK_ENGINE: 'svix', SVIX_SERVER_URL: svix.url, SVIX_TOKEN: token, WORKER_LEASE_MS: '1000' })
  dispatcherPort.provide(made, createSvixDispatcher({ serverUrl: svix.url, token, requestTimeoutMs: 2_000 }))
  return made
}

const endpointInput = {
  url: 'https://example.com/hook',
  eventTypes: ['project.updated'],
  headers: { 'x-team': 'a' },
  rateLimitPerSecond: 50,
}
const create = () => createEndpoint(world.app, caller, { ...endpointInput, url: 'http://127.0.0.1:9/' })
const wh = (id: string) => encodeId('WebhookEndpoint', id)
const evt = (id: string) => encodeId('WebhookMessage', id)
const posted = () => svix.asked.filter(({ method, path }) => method === 'POST' && path.endsWith('/msg'))

test('an endpoint is mirrored with our id as uid, its secret and its headers, and a message has our id twice', async () => {
  const { webhookEndpoint, secret } = await create()
  world.work(app)
  const told = await tell(world.app, caller)
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', reason: expect.stringContaining('Svix') }])
  const uid = wh(webhookEndpoint.id)
  expect(svix.applications.get(uid)!.get(uid)).toMatchObject({ url: 'http://127.0.0.1:9/', secret, headers: { 'x-team': 'a' } })
  expect(posted()).toMatchObject([
    {
      path: `/api/v1/app/${uid}/msg`,
      body: { eventId: evt(told), eventType: 'project.updated', payload: { id: evt(told), type: 'project.updated', sequence: 1 } },
      headers: { 'idempotency-key': evt(told) },
    },
  ])
  expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([{ url: svix.url, responseStatus: 202, errorClass: null }])
})

test('a changed endpoint and a rotated secret reach the mirror before the next message; a deleted one is taken away', async () => {
  const { webhookEndpoint } = await create()
  world.work(app)
  await tell(world.app, caller)
  await settled(world.app, webhookEndpoint.id)
  const request = { app: world.app, caller, requestId: 'test' }
  const rotated = await execute(request, rotateWebhookSecret, { id: webhookEndpoint.id })
  await execute(request, updateWebhookEndpoint, { id: webhookEndpoint.id, url: 'http://127.0.0.1:10/', headers: null })
  await tell(world.app, caller)
  await settled(world.app, webhookEndpoint.id, 2)
  const uid = wh(webhookEndpoint.id)
  expect(svix.applications.get(uid)!.get(uid)).toMatchObject({ url: 'http://127.0.0.1:10/', secret: rotated.secret, headers: {} })
  await execute(request, deleteWebhookEndpoint, { id: webhookEndpoint.id })
  await keepMirror.run(app, new AbortController().signal)
  expect(svix.applications.has(uid)).toBe(false)
})

test('event types are declared with their schemas', async () => {
  await keepMirror.run(app, new AbortController().signal)
  const declared = svix.asked.filter(({ path }) => path.includes('/event-type/'))
  expect(declared.map(({ path }) => path.split('/').at(-1)).toSorted()).toEqual(eventTypes().map(({ type }) => type))
  expect(declared.find(({ path }) => path.endsWith('project.updated'))!.body).toMatchObject({ schemas: { 1: { type: 'object' } } })
})

test('Svix is down: rows wait without losing a try, then flow', async () => {
  svix.state.down = true
  const { webhookEndpoint } = await create()
  world.work(app)
  const told = await tell(world.app, caller)
  await until('it was tried in vain', () => app.logged.some(({ msg }) => msg === 'a webhook could not be sent for a reason of our own'))
  expect(await deliveries(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'PENDING', attemptCount: 0 }])
  svix.state.down = false
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 1 }])
  expect(posted().at(-1)!.body.eventId).toBe(evt(told))
})

test('the answer to an accepted message is lost: 409 at the next try counts as done', async () => {
  svix.state.loseAnswers = 1
  const { webhookEndpoint } = await create()
  world.work(app)
  await tell(world.app, caller)
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED' }])
  expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([{ responseStatus: 409, errorClass: null }])
  expect(svix.messages.get(wh(webhookEndpoint.id))!.size).toBe(1)
})

test('4xx is a terminal error that can be seen; a wrong token waits instead', async () => {
  svix.state.refuse = 422
  const { webhookEndpoint } = await create()
  const jobs = world.work(app)
  await tell(world.app, caller)
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
    { status: 'EXHAUSTED', reason: expect.stringMatching(/422.*payload is not good/) },
  ])
  await jobs.stop({ graceMs: 0 })
  svix.state.refuse = 0
  const wrong = await svixProcess('another-token')
  world.work(wrong, 'wrong')
  await tell(world.app, caller)
  await until('it was tried in vain', () => wrong.logged.some(({ msg }) => msg === 'a webhook could not be sent for a reason of our own'))
  expect((await deliveries(world.app, webhookEndpoint.id)).map(({ status }) => status).toSorted()).toEqual(['EXHAUSTED', 'PENDING'])
})

test('switching modes loses and doubles nothing', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await createEndpoint(world.app, caller, { url: receiver.url, eventTypes: ['project.updated'] })
  const embedded = world.work(world.app, 'embedded')
  const first = [await tell(world.app, caller), await tell(world.app, caller)]
  await settled(world.app, webhookEndpoint.id, 2)
  await embedded.stop({ graceMs: 1_000 })
  const waiting = await tell(world.app, caller)
  const jobs = world.work(app, 'svix')
  await settled(world.app, webhookEndpoint.id, 3)
  await jobs.stop({ graceMs: 1_000 })
  const last = await tell(world.app, caller)
  world.work(world.app, 'embedded again')
  await settled(world.app, webhookEndpoint.id, 4)
  expect(receiver.requests.map(({ headers }) => headers['webhook-id']).toSorted()).toEqual([...first, last].map(evt).toSorted())
  expect(posted().map(({ body }) => body.eventId)).toEqual([evt(waiting)])
})
