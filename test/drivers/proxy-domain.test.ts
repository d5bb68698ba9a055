/** Services with several hosts, and redirects to the primary one. */
import { once } from 'node:events'
import { request } from 'node:https'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { Route, Router } from '../../src/domain/deploys/instance/ports.ts'
import { trustOf } from '../../src/platform/forwarded.ts'
import { createAuthority, issue } from '../support/certificate.ts'
import { type Answer, type Bed, call, createBed, createStack, readBody, toInstances } from './proxy-support.ts'

const stack = createStack()
let bed: Bed
beforeEach(async () => {
  bed = createBed(stack.defer)
  await bed.instance('a', ({ url, headers }, response) => response.end(`a ${headers.host ?? headers['x-forwarded-host']} ${url}`))
  await bed.instance('b', (_request, response) => response.end('b'))
})
afterEach(() => stack.unwind())

const shop = (change: Partial<Route> = {}): Route => ({
  ...toInstances('shop.localhost', ['a']),
  domains: ['example.com', 'www.example.com', 'xn--bcher-kva.example'],
  ...change,
})
const blog = (domains: string[]): Route => ({ ...toInstances('blog.localhost', ['b']), domains })
const statusOf = async (router: Router, host: string) => (await call(router, host, '/')).status
const locationOf = ({ status, headers }: Answer) => `${status} ${headers.location}`

describe('a service with domains', () => {
  it('is served at each of its hosts, however they are written', async () => {
    const router = await bed.router()
    router.apply([shop(), blog([])])
    for (const host of [
      'shop.localhost',
      'example.com',
      'WWW.Example.com',
      'example.com.',
      'example.com:8080',
      'xn--bcher-kva.example.:80',
    ])
      expect((await call(router, host, '/x?y=1')).body, host).toMatch(/^a .* \/x\?y=1$/)
    for (const host of ['sub.example.com', 'example.org', 'bücher.example'])
      expect((await call(router, Buffer.from(host).toString('latin1'), '/')).headers['x-quayside-error'], host).toBe('unknown_host')
  })

  it('loses, gains and passes on domains with each change, at once', async () => {
    const router = await bed.router()
    router.apply([shop(), blog([])])
    router.change([{ serviceId: shop().serviceId, route: shop({ domains: ['www.example.com'] }) }])
    expect([await statusOf(router, 'example.com'), await statusOf(router, 'www.example.com')]).toEqual([404, 200])
    router.change([{ serviceId: blog([]).serviceId, route: blog(['www.example.com', 'example.com']) }])
    expect((await call(router, 'www.example.com', '/')).body).toBe('b')
    // The former service gives up the domain later than the next one gets it.
    router.change([{ serviceId: shop().serviceId, route: shop({ domains: [] }) }])
    expect((await call(router, 'www.example.com', '/')).body).toBe('b')
    router.change([{ serviceId: blog([]).serviceId, route: null }])
    expect([
      await statusOf(router, 'example.com'),
      await statusOf(router, 'www.example.com'),
      await statusOf(router, 'blog.localhost'),
    ]).toEqual([404, 404, 404])
    expect(await statusOf(router, 'shop.localhost')).toBe(200)
  })
})

describe('a primary domain', () => {
  const primary = 'www.example.com'

  it('is where the other domains redirect to with path and query, and the own host does not', async () => {
    const router = await bed.router()
    router.apply([shop({ primary })])
    expect(locationOf(await call(router, 'example.com', '/a%20b/?q=%2F&r'))).toBe('308 http://www.example.com/a%20b/?q=%2F&r')
    expect(locationOf(await call(router, 'Example.com.:8080', '//evil.example/'))).toBe('308 http://www.example.com:8080//evil.example/')
    expect(locationOf(await call(router, 'xn--bcher-kva.example', '/', { method: 'POST', body: 'x'.repeat(100_000) }))).toBe(
      '308 http://www.example.com/',
    )
    for (const host of [primary, 'shop.localhost']) expect(await statusOf(router, host), host).toBe(200)
    expect((await call(router, 'example.com', '/')).headers['cache-control']).toBe('no-store')
    router.change([{ serviceId: shop().serviceId, route: shop() }])
    expect(await statusOf(router, 'example.com')).toBe(200)
  })

  it('leaves alone what cannot follow: WebSockets, and challenges of certificate authorities', async () => {
    const router = await bed.router()
    const sockets = new WebSocketServer({ noServer: true })
    stack.defer(() => sockets.close())
    const server = await bed.instance('a', (_request, response) => response.end('challenge'))
    server.on('upgrade', (incoming, socket, head) => sockets.handleUpgrade(incoming, socket, head, (webSocket) => webSocket.send('hello')))
    router.apply([shop({ primary })])
    const client = new WebSocket(`ws://127.0.0.1:${router.port}/`, { headers: { host: 'example.com' } })
    stack.defer(() => client.terminate())
    expect(String((await once(client, 'message'))[0])).toBe('hello')
    expect(await call(router, 'example.com', '/.well-known/acme-challenge/x')).toMatchObject({ status: 200, body: 'challenge' })
  })

  it('is reached by https if it has a certificate, or if the client came by https through a trusted proxy', async () => {
    const authority = await createAuthority('Test Root')
    const certificateOf = async (host: string) => {
      const { certificate, privateKey } = await issue(authority, { hosts: [host] })
      return { host, chain: certificate, privateKey }
    }
    const router = await bed.router({ tlsPort: 0, trust: trustOf(['127.0.0.0/8']) })
    const tls = router.tls!
    await tls.listen()
    router.apply([shop({ primary })])
    const forwarded = { headers: { 'x-forwarded-proto': 'https' } }
    expect(locationOf(await call(router, 'example.com', '/x', forwarded))).toBe('308 https://www.example.com/x')
    const encrypted = (host: string): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const sent = request({
          host: '127.0.0.1',
          port: tls.port,
          servername: host,
          ca: authority.pem,
          agent: false,
          headers: { host },
          path: '/x',
        })
        sent.on('error', reject).on('response', (response) => readBody(response).then(resolve, reject))
        sent.end()
      })
    tls.change({ set: [await certificateOf('example.com')], removed: [] })
    // Rather served than sent on to plain HTTP.
    expect((await encrypted('example.com')).status).toBe(200)
    tls.change({ set: [await certificateOf(primary)], removed: [] })
    expect(locationOf(await encrypted('example.com'))).toBe('308 https://www.example.com/x')
    expect(locationOf(await call(router, 'xn--bcher-kva.example:1234', '/x'))).toBe(`308 https://www.example.com:${tls.port}/x`)
    expect(locationOf(await call(router, 'example.com', '/x', forwarded))).toBe('308 https://www.example.com/x')
  })
})
