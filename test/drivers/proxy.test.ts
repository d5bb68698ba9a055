import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { privateHeader } from '../../src/drivers/proxy/header.ts'
import { createRouterProbe } from '../../src/drivers/proxy/index.ts'
import { createPrivateRoutes } from '../../src/drivers/proxy/private-route.ts'
import { trustOf } from '../../src/platform/forwarded.ts'
import { type Bed, call, callRaw, createBed, createStack, digestA, digestB, inFlight, toInstances, until } from './proxy-support.ts'

const stack = createStack()
let bed: Bed
beforeEach(() => {
  bed = createBed(stack.defer)
})
afterEach(() => stack.unwind())

describe('routing by host', () => {
  it('finds the service regardless of case, port and a trailing dot in the Host header', async () => {
    await bed.instance('a', (_request, response) => response.end('from a'))
    await bed.instance('b', (_request, response) => response.end('from b'))
    const router = await bed.router()
    router.apply([toInstances('Shop.localhost', ['a']), toInstances('blog.localhost', ['b'], digestB, 'dep-b')])

    for (const host of ['shop.localhost', 'SHOP.localhost', 'shop.localhost.', `shop.localhost:${router.port}`, 'shop.localhost.:80']) {
      expect((await call(router, host, '/')).body, host).toBe('from a')
    }
    const blog = await call(router, 'blog.localhost', '/')
    expect(blog.body).toBe('from b')
    expect(blog.headers['x-quayside-release']).toBe(digestB)
    expect(blog.headers['x-quayside-deployment']).toBe('dep-b')
  })

  it('prefers the host of an absolute request line to the Host header', async () => {
    await bed.instance('a', (request, response) => response.end(`${request.headers.host} ${request.url}`))
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    const answer = await callRaw(router, 'GET http://shop.localhost/x?y=1 HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n')
    expect(answer).toContain('shop.localhost /x?y=1')
  })

  it('drops the previous table immediately when a new one is applied', async () => {
    await bed.instance('a', (_request, response) => response.end('from a'))
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    expect((await call(router, 'shop.localhost', '/')).status).toBe(200)
    router.apply([])
    expect((await call(router, 'shop.localhost', '/')).status).toBe(404)
  })
})

describe('responses of the router itself', () => {
  it('explain the URLs of services on the bare domain only', async () => {
    const router = await bed.router({ bare: { host: 'localhost', text: 'Services are elsewhere.' } })
    expect(await call(router, 'localhost:4080', '/')).toMatchObject({ status: 404, body: 'Services are elsewhere. (unknown_host)\n' })
    expect((await call(router, 'other.localhost', '/')).body).toContain('No service has this address.')
  })

  it('have the status 404, 503 or 502, and the code in X-Quayside-Error', async () => {
    await bed.refusing('gone')
    const router = await bed.router()
    const target = (error: 'service_stopped' | 'service_not_deployed') => ({ type: 'unavailable' as const, error })
    router.apply([
      { ...toInstances('stopped.localhost', []), target: target('service_stopped') },
      { ...toInstances('new.localhost', []), digest: null, deploymentId: null, target: target('service_not_deployed') },
      toInstances('empty.localhost', []),
      toInstances('refusing.localhost', ['gone']),
      toInstances('unresolved.localhost', ['nobody-knows']),
    ])
    const cases = [
      ['other.localhost', 404, 'unknown_host', undefined],
      ['stopped.localhost', 503, 'service_stopped', digestA],
      ['new.localhost', 503, 'service_not_deployed', undefined],
      ['empty.localhost', 502, 'no_healthy_instance', digestA],
      ['refusing.localhost', 502, 'no_healthy_instance', digestA],
      ['unresolved.localhost', 502, 'no_healthy_instance', digestA],
    ] as const
    for (const [host, status, code, release] of cases) {
      const answer = await call(router, host, '/')
      expect([answer.status, answer.headers['x-quayside-error'], answer.headers['x-quayside-release']], host).toEqual([
        status,
        code,
        release,
      ])
      expect(answer.body).toContain(code)
    }
  })

  it('are a page for clients that accept HTML, text for others, and have no body for HEAD', async () => {
    const router = await bed.router()
    const html = await call(router, 'x.localhost', '/', { headers: { accept: 'text/html,*/*' } })
    expect(html.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(html.body).toContain('<h1>')
    expect((await call(router, 'x.localhost', '/')).headers['content-type']).toBe('text/plain; charset=utf-8')
    expect((await call(router, 'x.localhost', '/', { method: 'HEAD' })).body).toBe('')
  })

  it('are 502 upstream_failed if the instance dies during a POST, which is sent only once', async () => {
    let seen = 0
    await bed.instance('a', (request) => {
      seen += 1
      request.once('data', () => request.socket.destroy())
    })
    await bed.instance('b', (request) => {
      seen += 1
      request.once('data', () => request.socket.destroy())
    })
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a', 'b'])])
    const answer = await call(router, 'shop.localhost', '/', { method: 'POST', body: 'order' })
    expect([answer.status, answer.headers['x-quayside-error']]).toEqual([502, 'upstream_failed'])
    expect(answer.headers['x-quayside-deployment']).toBe('dep-a')
    expect(seen).toBe(1)
  })

  it('fail a GET that has killed two instances, instead of trying all of them', async () => {
    let seen = 0
    for (const id of ['a', 'b', 'c', 'd']) {
      await bed.instance(id, (request) => {
        seen += 1
        request.socket.destroy()
      })
    }
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a', 'b', 'c', 'd'])])
    expect((await call(router, 'shop.localhost', '/')).headers['x-quayside-error']).toBe('upstream_failed')
    expect(seen).toBe(2)
  })

  it.each([
    ['a response that is not HTTP', 'hello\r\n\r\n'],
    ['an unrequested protocol switch', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n'],
  ])('are 502 upstream_failed for %s', async (_what, bytes) => {
    await bed.rawInstance('a', (socket) => void socket.once('data', () => socket.write(bytes)))
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    const answer = await call(router, 'shop.localhost', '/')
    expect([answer.status, answer.headers['x-quayside-error']]).toEqual([502, 'upstream_failed'])
    await until('nothing in flight', () => inFlight(router, 'a') === 0)
  })

  it('are 504 upstream_timeout if the instance does not respond', async () => {
    await bed.instance('a', () => {})
    const router = await bed.router({ upstreamTimeoutMs: 100 })
    router.apply([toInstances('shop.localhost', ['a'])])
    const answer = await call(router, 'shop.localhost', '/')
    expect([answer.status, answer.headers['x-quayside-error']]).toEqual([504, 'upstream_timeout'])
    await until('nothing in flight', () => inFlight(router, 'a') === 0)
  })

  it('are 408 if the client stops sending its body', async () => {
    await bed.instance('a', (request) => request.resume())
    const router = await bed.router({ upstreamTimeoutMs: 100 })
    router.apply([toInstances('shop.localhost', ['a'])])
    const answer = await callRaw(router, 'POST / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc')
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(answer).toContain('X-Quayside-Error: request_timeout')
  })

  it('are 503 router_busy for requests beyond maxInFlight', async () => {
    const held: (() => void)[] = []
    await bed.instance('a', (_request, response) => void held.push(() => response.end('done')))
    const router = await bed.router({ maxInFlight: 1 })
    router.apply([toInstances('shop.localhost', ['a'])])
    const first = call(router, 'shop.localhost', '/')
    await until('the first is in flight', () => held.length === 1)
    const second = await call(router, 'shop.localhost', '/')
    expect([second.status, second.headers['x-quayside-error']]).toEqual([503, 'router_busy'])
    held[0]?.()
    expect((await first).body).toBe('done')
  })
})

describe('headers', () => {
  it('keeps the Host, adds forwarding headers, and drops hop-by-hop headers', async () => {
    await bed.instance('a', (request, response) => {
      response.setHeader('Connection', 'close, X-Inner')
      response.setHeader('X-Inner', 'secret')
      response.setHeader('X-Quayside-Release', 'sha256:forged')
      response.setHeader('Set-Cookie', ['a=1', 'b=2'])
      response.end(JSON.stringify(request.headers))
    })
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    const host = `shop.localhost:${router.port}`
    const answer = await call(router, host, '/', {
      headers: {
        connection: 'close, x-hop',
        'x-hop': '1',
        te: 'trailers',
        proxy: 'http://evil',
        'x-forwarded-for': '6.6.6.6',
        'x-app': 'kept',
      },
    })
    const seen = JSON.parse(answer.body)
    expect(seen).toMatchObject({
      host,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': host,
      'x-forwarded-proto': 'http',
      'x-app': 'kept',
    })
    for (const name of ['x-hop', 'te', 'proxy']) expect(seen).not.toHaveProperty(name)
    expect(answer.headers['x-inner']).toBeUndefined()
    expect(answer.headers['x-quayside-release']).toBe(digestA)
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2'])
  })

  it('appends to the forwarding headers of a trusted proxy', async () => {
    await bed.instance('a', (request, response) => response.end(JSON.stringify(request.headers)))
    const router = await bed.router({ trust: trustOf(['127.0.0.0/8', '10.0.0.0/8']) })
    router.apply([toInstances('shop.localhost', ['a'])])
    const headers = {
      'x-forwarded-for': '6.6.6.6, 9.9.9.9:4711, 10.0.0.7',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
    }
    const seen = JSON.parse((await call(router, 'shop.localhost', '/', { headers })).body)
    expect(seen).toMatchObject({
      // Addresses that the client has written itself are omitted.
      'x-forwarded-for': '9.9.9.9, 10.0.0.7, 127.0.0.1',
      'x-real-ip': '9.9.9.9',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
    })
  })

  it('sends a POST without a body with Content-Length 0', async () => {
    await bed.instance('a', (request, response) =>
      response.end(`${request.headers['content-length']} ${request.headers['transfer-encoding']}`),
    )
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    const answer = await callRaw(router, 'POST / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n')
    expect(answer).toContain('0 undefined')
  })
})

describe('protection', () => {
  it.each([
    ['two lengths', 'POST / HTTP/1.1\r\nHost: s.localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', 400],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nHost: s.localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['two hosts', 'GET / HTTP/1.1\r\nHost: s.localhost\r\nHost: other\r\nConnection: close\r\n\r\n', 400],
    ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['an invalid URL', 'GET ftp://x/ HTTP/1.1\r\nHost: s.localhost\r\nConnection: close\r\n\r\n', 400],
    ['a URL of 9000 characters', `GET /${'x'.repeat(9_000)} HTTP/1.1\r\nHost: s.localhost\r\nConnection: close\r\n\r\n`, 414],
    ['headers of 20 KB', `GET / HTTP/1.1\r\nHost: s.localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    [
      'a body before an upgrade',
      'GET / HTTP/1.1\r\nHost: s.localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc',
      400,
    ],
  ])('rejects %s, and no instance receives it', async (_what, bytes, status) => {
    let seen = 0
    await bed.instance('a', (_request, response) => {
      seen += 1
      response.end()
    })
    const router = await bed.router()
    router.apply([toInstances('s.localhost', ['a'])])
    expect(await callRaw(router, bytes)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(seen).toBe(0)
  })

  it('disconnects a client whose headers do not end', async () => {
    const router = await bed.router({ headersTimeoutMs: 100 })
    expect(await callRaw(router, 'GET / HTTP/1.1\r\nHost: s.localhost\r\nX-Slow: ')).toMatch(/^HTTP\/1\.1 408 /)
  })
})

describe('balancing', () => {
  it('sends a request to the instance with the fewest in flight, and reports their numbers', async () => {
    const held: (() => void)[] = []
    await bed.instance('a', (_request, response) => void held.push(() => response.end('a')))
    await bed.instance('b', (_request, response) => void held.push(() => response.end('b')))
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a', 'b'])])
    const calls = Array.from({ length: 6 }, () => call(router, 'shop.localhost', '/'))
    await until('all are in flight', () => held.length === 6)
    expect(router.load().sort((x, y) => x.instanceId.localeCompare(y.instanceId))).toEqual([
      { instanceId: 'a', inFlight: 3 },
      { instanceId: 'b', inFlight: 3 },
    ])
    for (const release of held) release()
    await Promise.all(calls)
    await until('none is in flight', () => router.load().every((load) => load.inFlight === 0))
  })

  it('skips an instance that refuses connections, even for a POST', async () => {
    await bed.refusing('gone')
    await bed.instance('b', (request, response) => void request.pipe(response))
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['gone', 'b'])])
    for (let i = 0; i < 6; i += 1) {
      expect((await call(router, 'shop.localhost', '/', { method: 'POST', body: `order ${i}` })).body).toBe(`order ${i}`)
    }
  })

  it('waits for the next table if all refuse connections, and loses no request', async () => {
    await bed.refusing('gone')
    await bed.instance('b', (_request, response) => response.end('from b'))
    let looksAtAbsent = 0
    const router = await bed.router({
      retryMs: 30_000,
      upstreams: {
        ...bed.upstreams,
        addressOf: (id) => {
          if (id === 'absent') looksAtAbsent += 1
          return bed.upstreams.addressOf(id)
        },
      },
    })
    router.apply([toInstances('shop.localhost', ['gone', 'absent'])])
    const waiting = call(router, 'shop.localhost', '/', { method: 'POST', body: 'order' })
    // The second lookup is the one after `gone` has refused the connection.
    await until('the request was refused', () => looksAtAbsent === 2)
    router.apply([toInstances('shop.localhost', ['b'], digestB, 'dep-b')])
    const answer = await waiting
    expect([answer.body, answer.headers['x-quayside-release']]).toEqual(['from b', digestB])
  })
})

describe('the log record of a request', () => {
  it('contains the service, deployment, instance, status and error of each request', async () => {
    await bed.instance('a', (_request, response) => response.writeHead(201).end())
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    await call(router, 'shop.localhost', '/', { method: 'POST' })
    await call(router, 'none.localhost', '/')
    await until('both are recorded', () => bed.records.length === 2)
    expect(bed.records).toMatchObject([
      { serviceId: 'service-of-shop.localhost', deploymentId: 'dep-a', instanceId: 'a', method: 'POST', status: 201, error: null },
      { serviceId: null, deploymentId: null, instanceId: null, method: 'GET', status: 404, error: 'unknown_host' },
    ])
  })
})

describe('the router probe', () => {
  const nothing = { status: null, release: null, deployment: null, error: null, failure: null, timedOut: false, routerAway: false }
  const privateRoutes = createPrivateRoutes(Buffer.alloc(32, 1))
  const open = async () => {
    const router = await bed.router({ privateRoutes })
    return { router, probe: createRouterProbe({ host: '127.0.0.1', port: () => router.port, privateRoutes }) }
  }
  const host = 'shop.localhost'

  it('reports the status, release and router error through the socket, and the reason for an incomplete response', async () => {
    await bed.instance('a', (_request, response) => response.writeHead(204).end())
    await bed.instance('silent', () => {})
    const { router, probe } = await open()
    router.apply([toInstances(host, ['a']), toInstances('silent.localhost', ['silent'])])
    const ask = (name: string, path: string, timeoutMs: number) => probe.request({ host: name, path, timeoutMs })
    expect(await ask(host, '/', 5_000)).toEqual({ ...nothing, status: 204, release: digestA, deployment: 'dep-a' })
    const unknown = { status: 404, error: 'unknown_host', failure: 'the router does not know the service' }
    expect(await ask('none.localhost', '/', 5_000)).toEqual({ ...nothing, ...unknown })
    expect(await ask('silent.localhost', '/', 50)).toEqual({ ...nothing, failure: 'no response within 50 ms', timedOut: true })
    expect(await ask(host, '/not a path', 50)).toEqual({ ...nothing, failure: 'the path is not valid in a request' })
    await router.close({ graceMs: 0 })
    expect(await ask(host, '/', 5_000)).toEqual({ ...nothing, failure: 'the router did not respond', routerAway: true })
  })

  it('reaches an instance that is not in the table, with the headers of a regular request', async () => {
    const seen: IncomingHttpHeaders[] = []
    await bed.instance('new', (request, response) => {
      seen.push(request.headers)
      response.end('new')
    })
    await bed.instance('old', (_request, response) => response.end('old'))
    const { router, probe } = await open()
    router.apply([toInstances(host, ['old'])])
    const target = { serviceId: 'svc', deploymentId: 'dep-b', digest: digestB, instanceId: 'new' }
    const answer = await probe.request({ host, path: '/', timeoutMs: 5_000, target })
    expect(answer).toEqual({ ...nothing, status: 200, release: digestB, deployment: 'dep-b' })
    expect(seen).toMatchObject([{ host, 'x-forwarded-host': host, 'x-forwarded-for': '127.0.0.1' }])
    expect(Object.keys(seen[0]!)).not.toContain(privateHeader)
    expect((await call(router, host, '/')).body).toBe('old')
    await bed.refusing('gone')
    const gone = await probe.request({ host, path: '/', timeoutMs: 5_000, target: { ...target, instanceId: 'gone' } })
    expect(gone).toMatchObject({ error: 'no_healthy_instance', failure: 'connection refused' })
  })

  it.each([
    ['nothing', () => {}, 'no response within 200 ms'],
    ['a reset', (socket: Socket) => socket.resetAndDestroy(), 'the connection was closed without a valid HTTP response'],
    ['garbage', (socket: Socket) => socket.end('SSH-2.0-garbage\r\n'), 'the connection was closed without a valid HTTP response'],
    [
      'incomplete headers',
      (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nContent-'),
      'the connection was closed without a valid HTTP response',
    ],
    ['an incomplete body', (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'), 'the response ended early'],
    [
      'a body without an end',
      (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'),
      'the response did not end within 200 ms',
    ],
  ] as [string, (socket: Socket) => void, string][])(
    'reports the failure of an instance that responds with %s',
    async (_what, reply, failure) => {
      await bed.rawInstance('sick', (socket) => socket.once('data', () => reply(socket)))
      const { router, probe } = await open()
      router.apply([])
      const target = { serviceId: 'svc', deploymentId: 'dep-b', digest: digestB, instanceId: 'sick' }
      expect(await probe.request({ host, path: '/', timeoutMs: 200, target })).toMatchObject({ failure })
    },
  )

  it('detects an instance that responds only once per connection', async () => {
    await bed.rawInstance('once', (socket) => socket.once('data', () => socket.write('HTTP/1.1 204 No Content\r\n\r\n')))
    const { router, probe } = await open()
    router.apply([])
    const target = { serviceId: 'svc', deploymentId: 'dep-b', digest: digestB, instanceId: 'once' }
    expect(await probe.request({ host, path: '/', timeoutMs: 5_000, target })).toMatchObject({ status: 204, failure: null })
    expect(await probe.request({ host, path: '/', timeoutMs: 200, target })).toMatchObject({ failure: 'no response within 200 ms' })
  })

  it('accepts an event stream as a complete response', async () => {
    await bed.instance('events', (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    })
    const { router, probe } = await open()
    router.apply([toInstances(host, ['events'])])
    expect(await probe.request({ host, path: '/', timeoutMs: 5_000 })).toMatchObject({ status: 200, failure: null })
  })

  it('is the only client that can choose an instance: a header without a valid signature is ignored', async () => {
    const seen: IncomingHttpHeaders[] = []
    await bed.instance('new', (_request, response) => response.end('new'))
    await bed.instance('old', (request, response) => {
      seen.push(request.headers)
      response.end('old')
    })
    const { router } = await open()
    router.apply([toInstances(host, ['old'])])
    const target = { serviceId: 'svc', deploymentId: 'dep-b', digest: digestB, instanceId: 'new' }
    const [content, mac] = privateRoutes.seal(target).split('.')
    const [foreign] = privateRoutes.seal({ ...target, instanceId: 'other' }).split('.')
    const forged = createPrivateRoutes(Buffer.alloc(32, 2)).seal(target)
    for (const value of [forged, content!, `${content}.`, `${foreign}.${mac}`, 'x', '.', '']) {
      expect((await call(router, host, '/', { headers: { [privateHeader]: value } })).body).toBe('old')
    }
    expect(seen.filter((headers) => privateHeader in headers)).toEqual([])
  })
})
