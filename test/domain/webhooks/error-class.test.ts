import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import { outgoingHttp } from '../../../src/domain/webhooks/endpoint/index.ts'
import { createHttpOutgoing } from '../../../src/drivers/http/index.ts'
import { createEgressGuard } from '../../../src/platform/egress.ts'
import { type Authority, createAuthority } from '../../drivers/http-support.ts'
import { attempts, settled, webhooksWorld } from './support.ts'

const world = webhooksWorld({ WEBHOOK_RETRY_SCHEDULE_MS: '30,30' })
let authority: Authority
/** Names that the DNS resolver knows. */
let names: Set<string>

beforeAll(() => {
  authority = createAuthority()
  authority.issue('good', 'DNS:hooks.test', 2)
  authority.issue('expired', 'DNS:hooks.test', -1)
})
afterAll(() => authority.close())

beforeEach(async () => {
  names = new Set(['hooks.test', 'other.test'])
  const guard = createEgressGuard({
    allow: world.app.settings.EGRESS_ALLOW,
    async lookup(name) {
      if (!names.has(name)) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
      return [{ address: '127.0.0.1', family: 4 }]
    },
  })
  const http = createHttpOutgoing({ guard, tls: { ca: authority.pem('ca.pem') } })
  onTestFinished(() => http.close())
  outgoingHttp.provide(world.app, http)
})

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const serveTls = (certificate: string) =>
  listen(
    createHttpsServer({ key: authority.pem(`${certificate}.key`), cert: authority.pem(`${certificate}.pem`) }, (_request, answer) =>
      answer.end(),
    ),
  )
/** Answers the first `count` connections with `text` and a reset, and the others with 204. */
const serveBroken = (text: string, count = Number.POSITIVE_INFINITY) => {
  let n = 0
  return listen(
    createTcpServer((socket) =>
      socket.once('data', () => {
        if (++n > count) socket.end('HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n')
        else socket.write(text, () => socket.resetAndDestroy())
      }),
    ),
  )
}
const brokenBody = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc'

async function deadUrl(): Promise<string> {
  const receiver = await world.receiver()
  await receiver.close()
  return receiver.url
}

type Fault = { url: () => Promise<string>; onSaved?: () => void; errorClass: string; reason: string }

const faults: Record<string, Fault> = {
  'a refused connection': { url: deadUrl, errorClass: 'REFUSED', reason: 'ECONNREFUSED' },
  'a name that no longer resolves': {
    url: async () => 'https://hooks.test/',
    onSaved: () => names.delete('hooks.test'),
    errorClass: 'DNS',
    reason: 'could not be resolved',
  },
  'a certificate that has expired': {
    url: async () => `https://hooks.test:${await serveTls('expired')}/`,
    errorClass: 'TLS',
    reason: 'CERT_HAS_EXPIRED',
  },
  'a certificate of another host': {
    url: async () => `https://other.test:${await serveTls('good')}/`,
    errorClass: 'TLS',
    reason: 'ERR_TLS_CERT_ALTNAME_INVALID',
  },
  'a connection that breaks in the middle of the body': {
    url: async () => `http://127.0.0.1:${await serveBroken(brokenBody)}/`,
    errorClass: 'RESET',
    reason: '',
  },
}

it.each(Object.entries(faults))(
  '%s is recorded with its class at every attempt and retried according to the schedule',
  async (_what, fault) => {
    const url = await fault.url()
    const { webhookEndpoint } = await world.createEndpoint({ url, eventTypes: ['project.updated'] })
    fault.onSaved?.()
    world.work(world.app)
    await world.publishUpdate()
    expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([
      { status: 'EXHAUSTED', attemptCount: 3, reason: expect.stringContaining(fault.reason) },
    ])
    const common = { url, errorClass: fault.errorClass, responseStatus: null, responseHeaders: null, responseBody: null }
    expect(await attempts(world.app, webhookEndpoint.id)).toMatchObject([
      { ...common, number: 1, nextAttemptAt: expect.any(Date) },
      { ...common, number: 2, nextAttemptAt: expect.any(Date) },
      { ...common, number: 3, nextAttemptAt: null },
    ])
  },
)

it('once the fault is fixed, the next attempt succeeds', async () => {
  const port = await serveBroken(brokenBody, 2)
  const { webhookEndpoint } = await world.createEndpoint({ url: `http://127.0.0.1:${port}/`, eventTypes: ['project.updated'] })
  world.work(world.app)
  await world.publishUpdate()
  expect(await settled(world.app, webhookEndpoint.id)).toMatchObject([{ status: 'DELIVERED', attemptCount: 3 }])
  expect((await attempts(world.app, webhookEndpoint.id)).map(({ errorClass }) => errorClass)).toEqual(['RESET', 'RESET', null])
})
