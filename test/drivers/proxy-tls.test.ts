import { once } from 'node:events'
import { type RequestOptions, request } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { Router, RouterTls } from '../../src/domain/deploys/instance/ports.ts'
import type { ProxyRouterOptions } from '../../src/drivers/proxy/index.ts'
import { trustOf } from '../../src/platform/forwarded.ts'
import { type Authority, createAuthority, issue } from '../support/certificate.ts'
import { type Answer, type Bed, call, createBed, createStack, readBody, toInstances, until } from './proxy-support.ts'

const stack = createStack()
let bed: Bed
beforeEach(() => {
  bed = createBed(stack.defer)
})
afterEach(() => stack.unwind())

let root: Authority
let intermediate: Authority
beforeAll(async () => {
  root = await createAuthority('Test Root')
  intermediate = await createAuthority('Test Intermediate', root)
})

const certificateOf = async (host: string) => {
  const { certificate, privateKey } = await issue(intermediate, { hosts: [host] })
  return { host, chain: certificate + intermediate.pem, privateKey }
}

/** A router with TLS before two instances, with certificates of two of its three hosts. */
async function secureBed(options: Partial<ProxyRouterOptions> = {}): Promise<{ router: Router; tls: RouterTls }> {
  await bed.instance('a', ({ headers }, response) => response.end(`a ${headers['x-forwarded-proto']} ${headers['x-forwarded-host']}`))
  await bed.instance('b', (_request, response) => response.end('b'))
  const router = await bed.router({ tlsPort: 0, ...options })
  const tls = router.tls!
  expect(await tls.listen()).toBe(true)
  router.apply([toInstances('shop.example', ['a']), toInstances('blog.example', ['b']), toInstances('plain.example', ['b'])])
  tls.change({ set: await Promise.all(['shop.example', 'blog.example'].map(certificateOf)), removed: [] })
  return { router, tls }
}

const callTls = (tls: RouterTls, servername: string, { host = servername, ...options }: RequestOptions = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = request({
      ...{ host: '127.0.0.1', port: tls.port, servername, ca: root.pem, agent: false, headers: { host: host! } },
      ...options,
    })
    sent.on('error', reject)
    sent.on('response', (response) => readBody(response).then(resolve, reject))
    sent.end()
  })

function handshake(tls: RouterTls, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: tls.port, ca: root.pem, ...options })
  stack.defer(() => socket.destroy())
  return new Promise((resolve, reject) => socket.once('secureConnect', () => resolve(socket)).once('error', reject))
}

describe('TLS', () => {
  it('shows the certificate of the requested name with its chain, and routes as for plain HTTP', async () => {
    const { tls } = await secureBed()
    expect(await callTls(tls, 'shop.example')).toMatchObject({ status: 200, body: 'a https shop.example' })
    expect((await callTls(tls, 'blog.example')).body).toBe('b')
    const socket = await handshake(tls, { servername: 'SHOP.example', ALPNProtocols: ['h2', 'http/1.1'] })
    expect(socket.authorized).toBe(true)
    expect(socket.getPeerCertificate(true)).toMatchObject({
      subjectaltname: 'DNS:shop.example',
      issuerCertificate: { subject: { CN: 'Test Intermediate' } },
    })
    expect(socket.alpnProtocol).toBe('http/1.1')
  })

  it('refuses the handshake for a name without a certificate, without a name, and below TLS 1.2', async () => {
    const { tls } = await secureBed()
    for (const servername of ['plain.example', 'nobody.example', '']) {
      await expect(handshake(tls, { servername, rejectUnauthorized: false }), servername).rejects.toThrow(/handshake failure|ECONNRESET/)
    }
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await expect(handshake(tls, { servername: 'shop.example', ...old })).rejects.toThrow(/protocol version|unsupported protocol/)
  })

  it('answers 421 to a request for another host than the one of the handshake', async () => {
    const { tls } = await secureBed()
    for (const host of ['blog.example', 'plain.example', 'nobody.example']) {
      const answer = await callTls(tls, 'shop.example', { host })
      expect([answer.status, answer.headers['x-quayside-error']], host).toEqual([421, 'misdirected'])
    }
  })

  it('uses a replaced certificate for the next handshake, and none after its removal', async () => {
    const { tls, router } = await secureBed()
    const first = (await handshake(tls, { servername: 'shop.example' })).getPeerCertificate().fingerprint256
    tls.change({ set: [await certificateOf('shop.example')], removed: [] })
    const second = (await handshake(tls, { servername: 'shop.example' })).getPeerCertificate().fingerprint256
    expect(second).not.toBe(first)
    tls.change({ set: [], removed: ['shop.example'] })
    await expect(handshake(tls, { servername: 'shop.example' })).rejects.toThrow()
    expect((await call(router, 'shop.example', '/')).status).toBe(200)
  })

  it('refuses only the handshakes of a certificate that OpenSSL does not accept', async () => {
    const { tls } = await secureBed()
    tls.change({ set: [{ host: 'shop.example', chain: 'garbage', privateKey: 'garbage' }], removed: [] })
    await expect(handshake(tls, { servername: 'shop.example' })).rejects.toThrow()
    expect((await callTls(tls, 'blog.example')).body).toBe('b')
  })

  it('carries WebSockets', async () => {
    const { tls } = await secureBed()
    const sockets = new WebSocketServer({ noServer: true })
    stack.defer(() => sockets.close())
    const server = await bed.instance('a', (_request, response) => response.end())
    server.on('upgrade', (incoming, socket, head) => {
      sockets.handleUpgrade(incoming, socket, head, (webSocket) => webSocket.send(`hello over ${incoming.headers['x-forwarded-proto']}`))
    })
    const client = new WebSocket(`wss://127.0.0.1:${tls.port}/`, {
      ...{ servername: 'shop.example', ca: root.pem, headers: { host: 'shop.example' } },
    })
    stack.defer(() => client.terminate())
    const [message] = (await once(client, 'message')) as [Buffer]
    expect(message.toString()).toBe('hello over https')
  })

  it('ends silent handshakes after a time, and the oldest of too many, while others are answered', async () => {
    const { tls } = await secureBed({ handshakeTimeoutMs: 300, maxHandshakes: 3 })
    const silent = async (): Promise<Socket> => {
      const socket = connectTcp(tls.port, '127.0.0.1')
      socket.on('error', () => {})
      stack.defer(() => socket.destroy())
      await once(socket, 'connect')
      return socket
    }
    const opened: Socket[] = []
    for (let i = 0; i < 4; i += 1) opened.push(await silent())
    await until('the oldest is ended', () => opened[0]!.closed)
    expect((await callTls(tls, 'shop.example')).status).toBe(200)
    await until('all are ended', () => opened.every(({ closed }) => closed))
    expect((await callTls(tls, 'shop.example')).status).toBe(200)
  })

  it('closes without waiting for silent handshakes', async () => {
    const { tls, router } = await secureBed()
    const socket = connectTcp(tls.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    await router.close({ graceMs: 60_000 })
    await until('the socket is closed', () => socket.closed)
    expect([router.listens, tls.listens]).toEqual([false, false])
    expect([await router.listen(), await tls.listen()]).toEqual([true, true])
  })
})

describe('plain HTTP on a host with a certificate', () => {
  it('is redirected to HTTPS with its path and query', async () => {
    const { router, tls } = await secureBed()
    const redirected = async (host: string) => {
      const { status, headers } = await call(router, host, '/a?b=c%20d')
      return [status, headers.location]
    }
    expect(await redirected(`Shop.example:${router.port}`)).toEqual([308, `https://shop.example:${tls.port}/a?b=c%20d`])
    // A port that somebody maps to the router's own.
    expect(await redirected('shop.example.')).toEqual([308, 'https://shop.example/a?b=c%20d'])
    expect((await call(router, 'plain.example', '/')).status).toBe(200)
  })

  it('is served if a trusted proxy says that its client uses HTTPS', async () => {
    const headers = { 'x-forwarded-proto': 'https' }
    const trusting = await secureBed({ trust: trustOf(['127.0.0.1']) })
    expect((await call(trusting.router, 'shop.example', '/', { headers: { ...headers, host: 'shop.example' } })).status).toBe(200)
    const other = await secureBed()
    expect((await call(other.router, 'shop.example', '/', { headers: { ...headers, host: 'shop.example' } })).status).toBe(308)
  })
})

describe('challenges of certificate authorities', () => {
  const token = 'a-token-of-22-letters_'
  const path = `/.well-known/acme-challenge/${token}`

  it('are answered for exactly the host and token of an open order, over plain HTTP', async () => {
    const asked: string[] = []
    const { router } = await secureBed({
      challenges: async (host, asking) => {
        asked.push(asking)
        return host === 'shop.example' && asking === token ? `${token}.thumbprint` : null
      },
    })
    const { status, body, headers } = await call(router, 'Shop.example', path)
    expect([status, body, headers['content-type']]).toEqual([200, `${token}.thumbprint`, 'application/octet-stream'])
    // The service may order certificates itself.
    expect((await call(router, 'blog.example', path)).body).toBe('b')
    expect((await call(router, 'shop.example', `${path}x`)).body).toBe('a http shop.example')
    expect((await call(router, 'nobody.example', path)).status).toBe(404)
    expect((await call(router, 'shop.example', '/.well-known/acme-challenge/short')).body).toBe('a http shop.example')
    for (const strange of ['..%2f..%2fsecrets_of_somebody', '../../secrets', `${token}/x`, `${token}?x`, 'x'.repeat(300)]) {
      expect((await call(router, 'shop.example', `/.well-known/acme-challenge/${strange}`)).status).toBe(308)
    }
    expect(asked).toEqual([token, token, `${token}x`, token])
  })

  it('are answered with 503 while the look-up fails or too many are running', async () => {
    const waiting: (() => void)[] = []
    const { router } = await secureBed({
      challenges: (host) =>
        host === 'blog.example'
          ? Promise.reject(new Error('no database'))
          : new Promise((resolve) => waiting.push(() => resolve('answer'))),
    })
    expect((await call(router, 'blog.example', path)).status).toBe(503)
    const held = Array.from({ length: 16 }, () => call(router, 'shop.example', path))
    await until('all look-ups run', () => waiting.length === 16)
    expect((await call(router, 'shop.example', path)).headers['x-quayside-error']).toBe('challenge_unavailable')
    for (const resume of waiting) resume()
    expect((await Promise.all(held)).map(({ body }) => body)).toEqual(Array(16).fill('answer'))
  })
})
