import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Upstreams } from '../../src/domain/deploys/instance/ports.ts'
import { createRouterProbe } from '../../src/drivers/proxy/index.ts'
import { ruleFor } from '../../src/drivers/proxy/path-rule.ts'
import { createPrivateRoutes } from '../../src/drivers/proxy/private-route.ts'
import { type Bed, call, closeServer, createBed, createStack, digestA, listen, toInstances } from './proxy-support.ts'

const stack = createStack()
let bed: Bed
beforeEach(() => {
  bed = createBed(stack.defer)
})
afterEach(() => stack.unwind())

const rules = [
  { path: '/websocket', to: 'second_port' },
  { path: '/web/database', to: 'not_found' },
] as const

describe('a path rule', () => {
  it.each([
    ['/websocket', 'second_port'],
    ['/websocket?version=17.0-3', 'second_port'],
    ['/websocket/health', 'second_port'],
    ['/websockets', null],
    ['/web/websocket', null],
    ['/web/database', 'not_found'],
    ['/web/database/manager?x=1', 'not_found'],
    ['//web//database/manager', 'not_found'],
    ['/web/%64atabase/manager', 'not_found'],
    ['/web%2fdatabase/manager', 'not_found'],
    ['/web/./x/../database/manager', 'not_found'],
    ['/../web/database/selector', 'not_found'],
    ['/web/databases', null],
    ['/web/login?redirect=/web/database/manager', null],
    ['/%', null],
  ])('for %s is %s', (target, expected) => {
    expect(ruleFor(rules, target)).toBe(expected)
  })

  it('is none for a route without rules', () => expect(ruleFor(undefined, '/web/database/manager')).toBeNull())
})

describe('an instance with a second port', () => {
  /** Accepts WebSockets if `accepts`, and answers other requests with its name. */
  async function listener(name: string, accepts: boolean) {
    const server = createServer((_request, response) => response.end(name))
    if (accepts)
      server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => {
        socket.on('error', () => {})
        socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
      })
    const port = await listen(server)
    stack.defer(() => closeServer(server))
    return { host: '127.0.0.1', port }
  }

  async function open(hasSecond: boolean) {
    bed.instances.set('a', await listener('first', !hasSecond))
    const second = hasSecond ? await listener('second', true) : null
    const upstreams: Upstreams = { ...bed.upstreams, addressOf: (id, which) => (which ? second : bed.upstreams.addressOf(id)) }
    const privateRoutes = createPrivateRoutes(Buffer.alloc(32, 1))
    const router = await bed.router({ privateRoutes, upstreams })
    router.apply([{ ...toInstances('shop.localhost', ['a']), rules }])
    return { router, probe: createRouterProbe({ host: '127.0.0.1', port: () => router.port, privateRoutes }) }
  }

  it('gets the requests for it there, the others on the first, and those that are hidden not at all', async () => {
    const { router } = await open(true)
    expect((await call(router, 'shop.localhost', '/')).body).toBe('first')
    expect((await call(router, 'shop.localhost', '/websocket/x')).body).toBe('second')
    const hidden = await call(router, 'shop.localhost', '/web/database/manager', { method: 'POST', body: 'master_pwd=admin' })
    expect(hidden).toMatchObject({ status: 404, headers: { 'x-quayside-error': 'not_found', 'x-quayside-release': digestA } })
  })

  it.each([true, false])('is asked for a WebSocket by the probe, also before it is routed (has one: %s)', async (hasSecond) => {
    const { router, probe } = await open(hasSecond)
    const asked = { host: 'shop.localhost', path: '/websocket', timeoutMs: 5_000, upgrade: true }
    expect(await probe.request(asked)).toMatchObject({ status: 101, failure: null, release: digestA })
    router.apply([])
    const target = { serviceId: 's', digest: digestA, deploymentId: 'd', instanceId: 'a', rules }
    expect(await probe.request({ ...asked, target })).toMatchObject({ status: 101, failure: null, deployment: 'd' })
    const { rules: _rules, ...withoutRules } = target
    // The first port of an instance with two accepts none.
    expect((await probe.request({ ...asked, target: withoutRules })).status).toBe(hasSecond ? 200 : 101)
  })
})
