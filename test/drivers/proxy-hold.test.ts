/** Requests of a service whose only instance is being replaced: they wait, within bounds, and then go to the next instance. */
import { request } from 'node:http'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Route } from '../../src/domain/deploys/instance/ports.ts'
import { type Bed, call, callRaw, createBed, createStack, digestA, toInstances } from './proxy-support.ts'

const stack = createStack()
let bed: Bed
beforeEach(() => {
  bed = createBed(stack.defer)
})
afterEach(() => stack.unwind())

const host = 'shop.localhost'
const serviceId = `service-of-${host}`
const held: Route = { host, serviceId, digest: digestA, deploymentId: 'dep-a', target: { type: 'held' } }
const switching = { status: 503, headers: { 'x-quayside-error': 'service_switching', 'retry-after': '5' } }

/** An instance that answers with the method and the size of the body. */
const echo = (id: string) =>
  bed.instance(id, (incoming, response) => {
    let size = 0
    incoming.on('data', (chunk: Buffer) => (size += chunk.length)).on('end', () => response.end(`${id} ${incoming.method} ${size}`))
  })

it('holds requests with and without a body until there is an instance, also ones that the former instance refuses', async () => {
  const router = await bed.router({ retryMs: 60_000 })
  await bed.refusing('old')
  await echo('new')
  router.apply([toInstances(host, ['old'])])
  const body = 'x'.repeat(300_000)
  const early = call(router, host, '/', { method: 'POST', body })
  router.change([{ serviceId, route: held }])
  const late = [call(router, host, '/'), call(router, host, '/', { method: 'POST', body }), call(router, host, '/', { method: 'DELETE' })]
  // A change that is none for the host, and another hold.
  router.change([{ serviceId: 'other', route: null }])
  router.change([{ serviceId, route: held }])
  router.change([{ serviceId, route: toInstances(host, ['new']) }])
  const answers = await Promise.all([early, ...late])
  expect(answers.map(({ body }) => body)).toEqual(['new POST 300000', 'new GET 0', 'new POST 300000', 'new DELETE 0'])
})

it('holds a WebSocket that is about to open', async () => {
  const router = await bed.router()
  const server = await bed.instance('new', () => {})
  server.on('upgrade', (_incoming, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    socket.end('greeting')
  })
  router.apply([held])
  const upgrade = `GET /socket HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
  const answer = callRaw(router, upgrade)
  await call(router, 'other.localhost', '/')
  router.change([{ serviceId, route: toInstances(host, ['new']) }])
  expect(await answer).toMatch(/^HTTP\/1.1 101 [\s\S]*greeting$/)
})

it('answers 503 with Retry-After after its limit, and at once beyond the number of requests that may wait', async () => {
  const router = await bed.router({ switchHoldMs: 500, maxHeld: 2 })
  router.apply([held])
  // Two of three wait, whichever the router sees first.
  const answers = await Promise.all([call(router, host, '/'), call(router, host, '/'), call(router, host, '/')])
  for (const answer of answers) expect(answer).toMatchObject(switching)
  const [first, ...others] = bed.records.map(({ durationMs }) => durationMs)
  expect(first).toBeLessThan(500)
  for (const durationMs of others) expect(durationMs).toBeGreaterThanOrEqual(499)
  // A request that was answered has made room for the next.
  const next = call(router, host, '/')
  await echo('new')
  router.change([{ serviceId, route: toInstances(host, ['new']) }])
  expect((await next).body).toBe('new GET 0')
})

it('lets no request wait when it stops', async () => {
  const router = await bed.router({ switchHoldMs: 60_000, maxHeld: 1 })
  router.apply([held])
  // One of the two waits, so the other one is answered.
  const both = [call(router, host, '/'), call(router, host, '/')]
  await Promise.race(both)
  const closed = router.close({ graceMs: 60_000 })
  for (const answer of await Promise.all(both)) expect(answer).toMatchObject(switching)
  await closed
})

it('does not read the body of a request that waits', async () => {
  const router = await bed.router({ switchHoldMs: 300 })
  router.apply([held])
  const total = 64 << 20
  const sent = request({ host: '127.0.0.1', port: router.port, method: 'POST', agent: false, headers: { host, 'content-length': total } })
  sent.on('error', () => {})
  const chunk = Buffer.alloc(1 << 16)
  let left = total
  const write = () => {
    while (left > 0) {
      left -= chunk.length
      if (!sent.write(chunk)) return
    }
  }
  sent.on('drain', write)
  write()
  const written = await new Promise<number>((resolve) => sent.on('response', () => resolve(total - left)))
  expect(written).toBeLessThan(total / 2)
  sent.destroy()
})
