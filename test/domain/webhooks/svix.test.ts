import { afterEach, beforeEach, expect, it } from 'vitest'
import { keepMirror } from '../../../src/domain/webhooks/delivery/mirror.ts'
import {
  deleteWebhookEndpoint,
  dispatcherPort,
  rotateWebhookSecret,
  updateWebhookEndpoint,
} from '../../../src/domain/webhooks/endpoint/index.ts'
import { createSvixDispatcher } from '../../../src/drivers/svix/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { encodeId } from '../../../src/platform/id.ts'
import type { TestApp } from '../../support/app.ts'
import { shiftClock } from '../../support/database.ts'
import { until } from '../../support/wait.ts'
import { attempts, deliveries, settled, webhooksWorld } from './support.ts'
import { type SvixServer, startSvix } from './svix-support.ts'

const world = webhooksWorld()
let svix: SvixServer
let app: TestApp

beforeEach(async () => {
  svix = await startSvix()
  app = await svixProcess()
})
afterEach(async () => {
  await svix?.close()
})

async function svixProcess(token = 'test-token'): Promise<TestApp> {
  const made = await world.process({ WEBHOOK_ENGINE: 'svix', SVIX_SERVER_URL: svix.url, SVIX_TOKEN: token, WORKER_LEASE_MS: '5000' })
  dispatcherPort.provide(made, createSvixDispatcher({ serverUrl: svix.url, token, requestTimeoutMs: 2_000 }))
  return made
}

const endpointInput = {
  url: 'https://example.com/hook',
  eventTypes: ['project.updated'],
  headers: { 'x-team': 'a' },
  rateLimitPerSecond: 50,
}
const create = () => world.createEndpoint({ ...endpointInput, url: 'http://127.0.0.1:9/' })
const wh = (id: string) => encodeId('WebhookEndpoint', id)
const evt = (id: string) => encodeId('WebhookMessage', id)
const posted = () => svix.asked.filter(({ method, path }) => method === 'POST' && path.endsWith('/msg'))

it('an endpoint is mirrored with its ID as uid, its secret and its headers, and a message has its ID twice', async () => {
  const { webhookEndpoint, secret } = await create()
  world.work(app)
  const eventId = await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', reason: expect.stringContaining('Svix') }])
  const uid = wh(webhookEndpoint.id)
  expect(svix.applications.get(uid)!.get(uid)).toMatchObject({ url: 'http://127.0.0.1:9/', secret, headers: { 'x-team': 'a' } })
  expect(posted()).toMatchObject([
    {
      path: `/api/v1/app/${uid}/msg`,
      body: { eventId: evt(eventId), eventType: 'project.updated', payload: { id: evt(eventId), type: 'project.updated', sequence: 1 } },
      headers: { 'idempotency-key': evt(eventId) },
    },
  ])
  expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([{ url: svix.url, responseStatus: 202, errorClass: null }])
})

it('a changed endpoint and a rotated secret reach the mirror before the next message; a deleted endpoint is removed from it', async () => {
  const { webhookEndpoint } = await create()
  world.work(app)
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id)
  const request = world.request()
  const rotated = await execute(request, rotateWebhookSecret, { id: webhookEndpoint.id })
  await execute(request, updateWebhookEndpoint, { id: webhookEndpoint.id, url: 'http://127.0.0.1:10/', headers: null })
  await world.publishUpdate()
  await settled(world.app, webhookEndpoint.id, 2)
  const uid = wh(webhookEndpoint.id)
  expect(svix.applications.get(uid)!.get(uid)).toMatchObject({ url: 'http://127.0.0.1:10/', secret: rotated.secret, headers: {} })
  await execute(request, deleteWebhookEndpoint, { id: webhookEndpoint.id })
  await keepMirror.run(app, new AbortController().signal)
  expect(svix.applications.has(uid)).toBe(false)
})

it('a message keeps 64-bit integers, emoji and the order of its fields', async () => {
  const dispatcher = createSvixDispatcher({ serverUrl: svix.url, token: 'test-token' })
  await dispatcher.mirror({
    id: 'wh_1',
    url: 'https://example.com/',
    description: null,
    secret: 'whsec_1',
    headers: {},
    formerKeysSign: false,
    rateLimitPerSecond: null,
  })
  const payload = '{"type":"big.number","data":{"z":18446744073709551615,"a":[-9007199254740993,1.0,1e400],"emoji":"😀"}}'
  await dispatcher.dispatch({ endpointId: 'wh_1', messageId: 'evt_1', eventType: 'big.number', payload })
  expect(svix.asked.at(-1)!.text).toContain(`"payload":${payload}`)
})

it('event types are registered with their schemas', async () => {
  await keepMirror.run(app, new AbortController().signal)
  const declared = svix.asked.filter(({ path }) => path.includes('/event-type/'))
  expect(declared.map(({ path }) => path.split('/').at(-1)).toSorted()).toEqual(world.app.domain.eventTypes.all.map(({ type }) => type))
  expect(declared.find(({ path }) => path.endsWith('project.updated'))!.body).toMatchObject({ schemas: { 1: { type: 'object' } } })
})

it('while Svix is down, deliveries wait without using an attempt', async () => {
  svix.state.down = true
  const { webhookEndpoint } = await create()
  world.work(app)
  const eventId = await world.publishUpdate()
  await until('it was tried in vain', () =>
    app.logged.some(({ msg }) => msg === 'webhooks cannot be sent to an endpoint because of a local failure'),
  )
  expect(await deliveries(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'PENDING', attemptCount: 0 }])
  svix.state.down = false
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 1 }])
  expect(posted().at(-1)!.body.eventId).toBe(evt(eventId))
})

it('if the response to an accepted message is lost, 409 at the next attempt counts as accepted', async () => {
  svix.state.loseAnswers = 1
  const { webhookEndpoint } = await create()
  world.work(app)
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED' }])
  expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([{ responseStatus: 409, errorClass: null }])
  expect(svix.messages.get(wh(webhookEndpoint.id))!.size).toBe(1)
})

it('a message refused with 4xx ends the delivery with a visible reason', async () => {
  svix.state.refuse = 422
  svix.state.detail = 'payload is not good\0'
  const { webhookEndpoint } = await create()
  world.work(app)
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
    { status: 'EXHAUSTED', reason: expect.stringMatching(/422.*payload is not good/) },
  ])
})

it('an endpoint refused with 4xx ends its deliveries with a visible reason; the next one tries again', async () => {
  svix.state.refuseEndpoints = 422
  const { webhookEndpoint } = await create()
  world.work(app)
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
    { status: 'EXHAUSTED', attemptCount: 1, reason: expect.stringMatching(/endpoint.*422.*url is not good/) },
  ])
  expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([
    { number: 1, responseStatus: 422, errorClass: 'HTTP', responseBody: 'url is not good' },
  ])
  svix.state.refuseEndpoints = 0
  await world.publishUpdate()
  const found = await settled(world.app, webhookEndpoint.id, 2)
  expect(found.map(({ status }) => status).toSorted()).toEqual(['DELIVERED', 'EXHAUSTED'])
})

it('a 4xx response that is not JSON, from a proxy in front of the server, is visible as well', async () => {
  svix.state.proxyAnswer = 404
  const { webhookEndpoint } = await create()
  world.work(app)
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
    { status: 'EXHAUSTED', reason: expect.stringMatching(/404.*No such site/) },
  ])
})

it('409 to mirroring an endpoint uses no attempt and is retried', async () => {
  svix.state.refuseEndpoints = 409
  const { webhookEndpoint } = await create()
  world.work(app)
  await world.publishUpdate()
  await until('it was tried in vain', () =>
    app.logged.some(({ msg }) => msg === 'webhooks cannot be sent to an endpoint because of a local failure'),
  )
  svix.state.refuseEndpoints = 0
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 1 }])
})

it.each(['before', 'after'])(
  'a wrong token %s the endpoint was mirrored: the delivery shows why it waits, uses no attempt, and is sent once the token is fixed',
  async (when) => {
    const { webhookEndpoint } = await create()
    if (when === 'after') {
      const right = world.work(app, 'right')
      await world.publishUpdate()
      await settled(world.app, webhookEndpoint.id)
      await right.stop({ graceMs: 1_000 })
    }
    const wrong = await svixProcess('another-token')
    const jobs = world.work(wrong, 'wrong')
    const eventId = await world.publishUpdate()
    const waiting = await until('it waits with a reason', async () =>
      (await deliveries(world.app, webhookEndpoint.id)).find(({ status, reason }) => status === 'PENDING' && reason !== null),
    )
    expect(waiting).toMatchObject({ attemptCount: 0, reason: expect.stringContaining('SVIX_TOKEN') })
    await jobs.stop({ graceMs: 1_000 })
    await shiftClock(world.url, 60_000)
    world.work(app, 'mended')
    const found = await settled(world.app, webhookEndpoint.id, when === 'after' ? 2 : 1)
    expect(found.every(({ status, attemptCount }) => status === 'DELIVERED' && attemptCount === 1)).toBe(true)
    expect(posted().at(-1)!.body.eventId).toBe(evt(eventId))
  },
)

it('switching modes neither loses nor duplicates messages', async () => {
  const receiver = await world.receiver()
  const { webhookEndpoint } = await world.createEndpoint({ url: receiver.url, eventTypes: ['project.updated'] })
  const embedded = world.work(world.app, 'embedded')
  const first = [await world.publishUpdate(), await world.publishUpdate()]
  await settled(world.app, webhookEndpoint.id, 2)
  await embedded.stop({ graceMs: 1_000 })
  const waiting = await world.publishUpdate()
  const jobs = world.work(app, 'svix')
  await settled(world.app, webhookEndpoint.id, 3)
  await jobs.stop({ graceMs: 1_000 })
  const last = await world.publishUpdate()
  world.work(world.app, 'embedded again')
  await settled(world.app, webhookEndpoint.id, 4)
  expect(receiver.requests.map(({ headers }) => headers['webhook-id']).toSorted()).toEqual([...first, last].map(evt).toSorted())
  expect(posted().map(({ body }) => body.eventId)).toEqual([evt(waiting)])
})
