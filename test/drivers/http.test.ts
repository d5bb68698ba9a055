import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server, Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { OutgoingHttp, OutgoingRequest, OutgoingResult } from '../../src/domain/webhooks/endpoint/ports.ts'
import { createHttpOutgoing, type HttpOutgoingOptions } from '../../src/drivers/http/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { startReceiver } from '../support/receiver.ts'
import { type Authority, createAuthority } from './http-support.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

type Answers = Record<string, string[]>

/** A sender that may connect to 127.0.0.0/8 and resolves only the given names. */
function sender({
  names = {},
  allow = ['127.0.0.0/8'],
  ...options
}: { names?: Answers; allow?: string[] } & Partial<HttpOutgoingOptions> = {}) {
  const asked: string[] = []
  const guard = createEgressGuard({
    allow,
    lookup: async (hostname) => {
      asked.push(hostname)
      const addresses = names[hostname]
      if (!addresses) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
      return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    },
  })
  const http = createHttpOutgoing({ guard, keepTargetsMs: 0, ...options })
  cleanups.push(() => http.close())
  const post = (url: string, rest: Partial<OutgoingRequest> = {}) =>
    http.post({ url, headers: {}, body: Buffer.from('{}'), timeoutMs: 10_000, maxResponseBytes: 65_536, ...rest })
  return { http, post, asked }
}

async function listen<S extends Server>(server: S, address = '127.0.0.1'): Promise<{ port: number; connections: Socket[] }> {
  const connections: Socket[] = []
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {})
    connections.push(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  cleanups.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of connections) socket.destroy()
    await closed
  })
  return { port: (server.address() as AddressInfo).port, connections }
}

const serveHttp = (listener: RequestListener, address?: string) => listen(createHttpServer(listener), address)
/** Passes the first bytes of each connection to `react`, for responses that no HTTP server would send. */
const serveRaw = (react: (socket: Socket) => void) => listen(createTcpServer((socket) => socket.once('data', () => react(socket))))

function failure(result: OutgoingResult) {
  if (result.type !== 'failure') throw new Error(`answered ${result.status}`)
  return result
}
const failureClass = (result: OutgoingResult) => failure(result).errorClass

function response(result: OutgoingResult) {
  if (result.type !== 'response') throw new Error(`${result.errorClass}: ${result.message}`)
  return result
}

/** Counts every connection that this process opens. */
function countConnects() {
  const connect = vi.spyOn(Socket.prototype, 'connect')
  cleanups.push(() => connect.mockRestore())
  return () => connect.mock.calls.length
}

const untilClosed = (socket: Socket | undefined) =>
  new Promise<void>((resolve) => (socket === undefined || socket.destroyed ? resolve() : socket.once('close', () => resolve())))

describe('post', () => {
  it('sends body, headers and path unchanged, and returns status, headers and body of the response', async () => {
    const receiver = await startReceiver({ script: () => ({ status: 299, headers: { 'X-Answer': 'yes' }, body: 'thanks' }) })
    cleanups.push(receiver.close)
    const body = Buffer.from('{"smile":"😀","path":"\\/","big":18446744073709551615}')
    const result = response(
      await sender().post(`${receiver.url}/hooks/a%20b?x=1#part`, {
        body,
        headers: { 'webhook-id': 'evt_1', 'Content-Type': 'application/json' },
      }),
    )
    expect(result).toMatchObject({ status: 299, headers: { 'x-answer': 'yes' } })
    expect(Buffer.from(result.body).toString()).toBe('thanks')
    expect(result.durationMs).toBeGreaterThanOrEqual(0)
    expect(receiver.requests).toHaveLength(1)
    expect(receiver.requests[0]).toMatchObject({ method: 'POST', path: '/hooks/a%20b?x=1' })
    expect(receiver.requests[0]?.headers).toMatchObject({
      'webhook-id': 'evt_1',
      'content-type': 'application/json',
      'content-length': String(body.length),
    })
    expect(receiver.requests[0]?.body.equals(body)).toBe(true)
  })

  it('resolves a name once, connects to the checked address, and keeps the name in Host', async () => {
    const receiver = await startReceiver()
    cleanups.push(receiver.close)
    const { port } = new URL(receiver.url)
    const { post, asked } = sender({ names: { 'hooks.test': ['127.0.0.1'] } })
    expect(response(await post(`http://hooks.test:${port}/`)).status).toBe(204)
    expect(asked).toEqual(['hooks.test'])
    expect(receiver.requests[0]?.headers.host).toBe(`hooks.test:${port}`)
  })

  it('uses the checked addresses of a URL for further requests, also for those that wait for the same lookup', async () => {
    const { port } = await serveHttp((_request, answer) => answer.end())
    const { post, asked } = sender({ names: { 'hooks.test': ['127.0.0.1'], 'more.test': ['127.0.0.1'] }, keepTargetsMs: 3_600_000 })
    const url = `http://hooks.test:${port}/`
    for (const result of await Promise.all([post(url), post(url), post(url)])) expect(response(result).status).toBe(200)
    response(await post(url))
    expect(asked).toEqual(['hooks.test'])
    response(await post(`http://more.test:${port}/`))
    expect(asked).toEqual(['hooks.test', 'more.test'])
  })

  it('never keeps a refusal or a failed lookup', async () => {
    const { port } = await serveHttp((_request, answer) => answer.end())
    const names: Answers = { 'hooks.test': ['10.0.0.1'] }
    const { post } = sender({ names, keepTargetsMs: 3_600_000 })
    const url = `http://hooks.test:${port}/`
    expect(failureClass(await post(url))).toBe('blocked')
    delete names['hooks.test']
    expect(failureClass(await post(url))).toBe('dns')
    names['hooks.test'] = ['127.0.0.1']
    expect(response(await post(url)).status).toBe(200)
  })

  it('goes on to the next checked address when the first one refuses', async () => {
    const { port } = await serveHttp((_request, answer) => answer.end(), '127.0.0.1')
    const { post } = sender({ names: { 'hooks.test': ['127.0.0.2', '127.0.0.1'] } })
    expect(response(await post(`http://hooks.test:${port}/`)).status).toBe(200)
  })

  it('reuses a connection for the same addresses, and never for others', async () => {
    const { port, connections } = await serveHttp((_request, answer) => answer.end('done'), '0.0.0.0')
    const names: Answers = { 'hooks.test': ['127.0.0.1'] }
    const { post } = sender({ names })
    const url = `http://hooks.test:${port}/`
    for (let n = 0; n < 3; n++) response(await post(url))
    expect(connections.map((socket) => socket.localAddress)).toEqual(['127.0.0.1'])
    names['hooks.test'] = ['127.0.0.2']
    response(await post(url))
    expect(connections.map((socket) => socket.localAddress)).toEqual(['127.0.0.1', '127.0.0.2'])
    names['hooks.test'] = ['10.0.0.1']
    expect(failureClass(await post(url))).toBe('blocked')
    expect(connections).toHaveLength(2)
  })

  it('calls onSend before the first byte may have reached the receiver, and not if nothing could have', async () => {
    const calls: string[] = []
    const { port } = await serveHttp((request, answer) => {
      calls.push(`arrived ${request.url}`)
      answer.end()
    })
    const gone = await startReceiver()
    await gone.close()
    const silent = await serveRaw(() => {})
    const { post } = sender({ names: { 'hooks.test': ['127.0.0.1'] } })
    const onSend = () => calls.push('sent')
    for (const path of ['/new', '/kept']) response(await post(`http://127.0.0.1:${port}${path}`, { onSend }))
    expect(calls).toEqual(['sent', 'arrived /new', 'sent', 'arrived /kept'])
    calls.length = 0
    expect(failureClass(await post(gone.url, { onSend }))).toBe('refused')
    expect(failureClass(await post(`https://hooks.test:${port}/`, { onSend }))).toBe('tls')
    expect(failureClass(await post(`https://hooks.test:${silent.port}/`, { onSend, timeoutMs: 100 }))).toBe('timeout')
    expect(calls).toEqual([])
    expect(failureClass(await post(`http://127.0.0.1:${silent.port}/`, { onSend, timeoutMs: 100 }))).toBe('timeout')
    expect(calls).toEqual(['sent'])
  })

  describe('on a reused connection', () => {
    /** Answers the first request of each connection, and passes later ones to a callback. */
    const answerOnce = (second: (socket: Socket) => void) =>
      listen(
        createTcpServer((socket) => {
          socket.once('data', () => {
            socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
            socket.once('data', () => second(socket))
          })
        }),
      )

    it.each([
      ['ends', (socket: Socket) => socket.end()],
      ['is reset', (socket: Socket) => socket.resetAndDestroy()],
    ])('resends on a new connection when it %s before the first byte of a response', async (_how, drop) => {
      const { port, connections } = await answerOnce(drop)
      const { post } = sender()
      for (let n = 0; n < 3; n++) expect(response(await post(`http://127.0.0.1:${port}/`)).status).toBe(200)
      expect(connections.length).toBeGreaterThan(1)
    })

    it('does not resend after a partial response, a failure on a new connection, or an abort', async () => {
      const partly = await answerOnce((socket) => socket.write('HTTP/1.1 200', () => socket.resetAndDestroy()))
      const { post } = sender()
      response(await post(`http://127.0.0.1:${partly.port}/`))
      expect(failureClass(await post(`http://127.0.0.1:${partly.port}/`))).toBe('reset')
      expect(partly.connections).toHaveLength(1)
      const dropping = await serveRaw((socket) => socket.resetAndDestroy())
      expect(failureClass(await post(`http://127.0.0.1:${dropping.port}/`))).toBe('reset')
      expect(dropping.connections).toHaveLength(1)
      const stop = new AbortController()
      const held = await answerOnce(() => stop.abort(new Error('given up')))
      response(await post(`http://127.0.0.1:${held.port}/`))
      await expect(post(`http://127.0.0.1:${held.port}/`, { signal: stop.signal })).rejects.toThrow('given up')
      expect(held.connections).toHaveLength(1)
    })

    it('is not used by a request that requires a new connection', async () => {
      const { port, connections } = await answerOnce((socket) => socket.resetAndDestroy())
      const { post } = sender()
      response(await post(`http://127.0.0.1:${port}/`))
      for (let n = 0; n < 2; n++) expect(response(await post(`http://127.0.0.1:${port}/`, { fresh: true })).status).toBe(200)
      expect(connections).toHaveLength(3)
    })
  })

  it('drops an unused connection after the idle time', async () => {
    const { port, connections } = await serveHttp((_request, answer) => answer.end())
    const { post } = sender({ idleTimeoutMs: 50 })
    response(await post(`http://127.0.0.1:${port}/`))
    await untilClosed(connections[0])
    response(await post(`http://127.0.0.1:${port}/`))
    expect(connections).toHaveLength(2)
  })

  it.each([301, 302, 303, 307, 308])('returns a %i and never follows it', async (status) => {
    const target = await startReceiver()
    cleanups.push(target.close)
    const receiver = await startReceiver({ script: () => ({ status, headers: { location: target.url } }) })
    cleanups.push(receiver.close)
    expect(response(await sender().post(receiver.url))).toMatchObject({ status, headers: { location: target.url } })
    expect(target.requests).toEqual([])
  })

  it('classifies a refused connection as refused', async () => {
    const gone = await startReceiver()
    await gone.close()
    expect(failureClass(await sender().post(gone.url))).toBe('refused')
    const { post } = sender({ names: { 'hooks.test': ['127.0.0.1', '127.0.0.2'] } })
    expect(failureClass(await post(gone.url.replace('127.0.0.1', 'hooks.test')))).toBe('refused')
  })

  it('classifies a name that does not resolve as dns', async () => {
    const begun = countConnects()
    expect(failure(await sender().post('https://missing.test/'))).toMatchObject({
      errorClass: 'dns',
      message: 'The name missing.test could not be resolved.',
    })
    expect(begun()).toBe(0)
  })

  it('rejects if the resolver fails, which is not the fault of the receiver, and reports it at check', async () => {
    const guard = createEgressGuard({
      allow: [],
      lookup: () => Promise.reject(Object.assign(new Error('try again'), { code: 'EAI_AGAIN' })),
    })
    const { http, post } = sender({ guard })
    await expect(post('https://hooks.test/')).rejects.toMatchObject({ code: 'RESOLVER', message: expect.stringContaining('hooks.test') })
    expect(await http.check('https://hooks.test/')).toContain('could not be resolved at present')
  })

  it('treats a resolver that does not respond as failed, with the timeout counting from the start', async () => {
    const guard = createEgressGuard({ allow: [], lookup: () => new Promise(() => {}) })
    const { post } = sender({ guard })
    await expect(post('https://hooks.test/', { timeoutMs: 50 })).rejects.toMatchObject({ code: 'RESOLVER' })
  })

  it('calls it a timeout if the receiver hangs before its headers, and closes the connection', async () => {
    const { port, connections } = await serveHttp(() => {})
    expect(failureClass(await sender().post(`http://127.0.0.1:${port}/`, { timeoutMs: 1_000 }))).toBe('timeout')
    await untilClosed(connections[0])
    expect(connections).toHaveLength(1)
  })

  it('calls it a timeout if the body trickles beyond the timeout, and closes the connection', async () => {
    const { port, connections } = await serveHttp((_request, answer) => {
      const trickle = setInterval(() => answer.write('.'), 10)
      answer.on('close', () => clearInterval(trickle))
    })
    expect(failureClass(await sender().post(`http://127.0.0.1:${port}/`, { timeoutMs: 200 }))).toBe('timeout')
    await untilClosed(connections[0])
  })

  it('includes the wait for a free connection in the timeout', async () => {
    const { port, connections } = await serveHttp(() => {})
    const { post } = sender({ maxSocketsPerOrigin: 1 })
    const first = post(`http://127.0.0.1:${port}/`, { timeoutMs: 2_000 })
    expect(failureClass(await post(`http://127.0.0.1:${port}/`, { timeoutMs: 200 }))).toBe('timeout')
    expect(failureClass(await first)).toBe('timeout')
    expect(connections.length).toBeLessThanOrEqual(1)
  })

  it.each([
    ['before the answer', ''],
    ['in the middle of the headers', 'HTTP/1.1 200 OK\r\nconte'],
    ['in the middle of the body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc'],
    ['in the middle of a chunked body', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n'],
  ])('classifies a connection that breaks %s as reset', async (_when, text) => {
    const resetting = await serveRaw((socket) => socket.write(text, () => socket.resetAndDestroy()))
    expect(failureClass(await sender().post(`http://127.0.0.1:${resetting.port}/`))).toBe('reset')
    const ending = await serveRaw((socket) => socket.end(text))
    expect(failureClass(await sender().post(`http://127.0.0.1:${ending.port}/`))).toBe('reset')
    expect(ending.connections).toHaveLength(1)
  })

  it('calls a response that is not HTTP a reset, and says so', async () => {
    const { port } = await serveRaw((socket) => socket.end('220 mail.example ESMTP\r\n'))
    const result = failure(await sender().post(`http://127.0.0.1:${port}/`))
    expect(result.errorClass).toBe('reset')
    expect(result.message).toContain('not valid HTTP')
  })

  it.each(['upgrade: x\r\nconnection: upgrade\r\n', ''])(
    'treats 101 as a response immediately, and frees its connection',
    async (headers) => {
      const { port, connections } = await serveRaw((socket) => socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers}\r\n`))
      const { post } = sender({ maxSocketsPerOrigin: 1 })
      const url = `http://127.0.0.1:${port}/`
      expect(response(await post(url, { timeoutMs: 5_000 }))).toMatchObject({ status: 101, body: Buffer.alloc(0) })
      await untilClosed(connections[0])
      expect(response(await post(url, { timeoutMs: 5_000 })).status).toBe(101)
      expect(connections).toHaveLength(2)
    },
  )

  it('reads no more of a 5 MB body than requested, and closes the connection', async () => {
    const { port, connections } = await serveHttp((_request, answer) => answer.end(Buffer.alloc(5_000_000, 'x')))
    const result = response(await sender().post(`http://127.0.0.1:${port}/`, { maxResponseBytes: 65_536 }))
    expect(result.status).toBe(200)
    expect(Buffer.from(result.body).equals(Buffer.alloc(65_536, 'x'))).toBe(true)
    await untilClosed(connections[0])
  })

  it('does not wait for the end of a body that has none', async () => {
    const { port, connections } = await serveHttp((_request, answer) => {
      const pump = () => {
        while (answer.write(Buffer.alloc(16_384, 'x')));
      }
      answer.on('drain', pump)
      pump()
    })
    expect(response(await sender().post(`http://127.0.0.1:${port}/`, { maxResponseBytes: 100 })).body).toHaveLength(100)
    await untilClosed(connections[0])
  })

  it('reads a body of exactly the limit to its end and keeps the connection', async () => {
    const { port, connections } = await serveHttp((_request, answer) => answer.end('12345'))
    const { post } = sender()
    for (let n = 0; n < 2; n++) {
      const result = response(await post(`http://127.0.0.1:${port}/`, { maxResponseBytes: 5 }))
      expect(Buffer.from(result.body).toString()).toBe('12345')
    }
    expect(connections).toHaveLength(1)
    expect(response(await post(`http://127.0.0.1:${port}/`, { maxResponseBytes: 0 })).body).toHaveLength(0)
  })

  it("rejects with the signal's reason when the caller aborts, and closes the connection", async () => {
    const { port, connections } = await serveHttp(() => stop.abort(new Error('shutting down')))
    const stop = new AbortController()
    const { post } = sender()
    await expect(post(`http://127.0.0.1:${port}/`, { signal: stop.signal })).rejects.toThrow('shutting down')
    await untilClosed(connections[0])
    await expect(post(`http://127.0.0.1:${port}/`, { signal: stop.signal })).rejects.toThrow('shutting down')
    expect(connections).toHaveLength(1)
  })

  it.each([
    ['a line break in a value', { 'x-a': 'a\r\nx-b: c' }],
    ['a line break in a name', { 'x-a\r\nx-b': 'c' }],
    ['a name that is none', { '': 'c' }],
    ['its own Host', { Host: 'other.test' }],
    ['its own Content-Length', { 'content-length': '1' }],
    ['its own Transfer-Encoding', { 'transfer-encoding': 'chunked' }],
    ['its own Connection', { connection: 'close' }],
  ])('refuses a request with %s, opening no connection', async (_what, headers) => {
    const begun = countConnects()
    expect(failureClass(await sender().post('http://127.0.0.1:9/', { headers: headers as Record<string, string> }))).toBe('blocked')
    expect(begun()).toBe(0)
  })
})

describe('allowed targets', () => {
  const privateHosts = ['127.0.0.1', '10.0.0.1', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '[::1]']
  const disguised = [
    '[fe80::1]',
    '[fc00::1]',
    '[::ffff:127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '2130706433',
    '0177.0.0.1',
    '0x7f.1',
  ]

  it.each([...privateHosts, ...disguised, 'private.test', 'mixed.test'])('refuses %s as blocked, opening no connection', async (host) => {
    const { port, connections } = await serveHttp((_request, answer) => answer.end())
    const begun = countConnects()
    const { http, post } = sender({ allow: [], names: { 'private.test': ['127.0.0.1'], 'mixed.test': ['8.8.8.8', '127.0.0.1'] } })
    for (const url of [`https://${host}:${port}/`, `http://${host}:${port}/`]) {
      expect(failure(await post(url))).toMatchObject({ errorClass: 'blocked', message: expect.stringContaining('EGRESS_ALLOW') })
      expect(await http.check(url)).toContain('EGRESS_ALLOW')
    }
    expect(begun()).toBe(0)
    expect(connections).toHaveLength(0)
  })

  it('allows addresses in EGRESS_ALLOW, in any spelling, over plain http', async () => {
    const receiver = await startReceiver()
    cleanups.push(receiver.close)
    const { port } = new URL(receiver.url)
    const begun = countConnects()
    const { http, post } = sender({ allow: ['127.0.0.1/32'], names: { 'private.test': ['127.0.0.1'], 'other.test': ['127.0.0.2'] } })
    for (const host of ['127.0.0.1', '2130706433', 'private.test', '[::ffff:127.0.0.1]']) {
      expect(await http.check(`http://${host}:${port}/`)).toBeNull()
      expect(response(await post(`http://${host}:${port}/`)).status).toBe(204)
    }
    expect(begun()).toBeGreaterThan(0)
    expect(failureClass(await post(`http://other.test:${port}/`))).toBe('blocked')
    expect(receiver.requests).toHaveLength(4)
  })

  it('refuses plain http to a public address and names the setting that would allow it', async () => {
    const begun = countConnects()
    const { http, post } = sender({ names: { 'hooks.test': ['93.184.215.14'] } })
    expect(await http.check('http://hooks.test/')).toContain('EGRESS_ALLOW')
    expect(failureClass(await post('http://hooks.test/'))).toBe('blocked')
    expect(await http.check('https://hooks.test/')).toBeNull()
    expect(begun()).toBe(0)
  })

  it('refuses ports of other protocols at public addresses, and allows the usual ones', async () => {
    const { http } = sender({ names: { 'hooks.test': ['93.184.215.14'] } })
    for (const port of [22, 25, 587, 1023]) expect(await http.check(`https://hooks.test:${port}/`)).toContain(`Port ${port}`)
    for (const port of [443, 80, 1024, 3000, 8443, 65_535]) expect(await http.check(`https://hooks.test:${port}/`)).toBeNull()
  })

  it.each([
    'https://user@hooks.test/',
    'https://user:word@hooks.test/',
    'https://:word@hooks.test/',
    'ftp://hooks.test/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'unix:/run/x.sock',
    'https:///path',
    'https://',
    'https:hooks.test',
    'https://?x',
    'https://:443/',
    'https://hooks.test:0/',
    'https://hooks.test:65536/',
    'https://hooks.test/a\nb',
    'https://ho\toks.test/',
    ' https://hooks.test/',
    'https://hooks.test/\u0000',
    'https://hooks.test/\u0085',
    'hooks.test',
    '',
  ])('refuses the URL %j without resolving anything', async (url) => {
    const { http, post, asked } = sender({ names: { 'hooks.test': ['93.184.215.14'] } })
    expect(failureClass(await post(url))).toBe('blocked')
    expect(await http.check(url)).toEqual(expect.any(String))
    expect(asked).toEqual([])
  })

  it('says at check that a name does not resolve', async () => {
    expect(await sender().http.check('https://missing.test/')).toBe('The name missing.test could not be resolved.')
  })
})

describe('over TLS', () => {
  let authority: Authority
  beforeAll(() => {
    authority = createAuthority()
    authority.issue('good', 'DNS:hooks.test,IP:127.0.0.1', 2)
    authority.issue('expired', 'DNS:hooks.test', -1)
  })
  afterAll(() => authority.close())
  const pem = (name: string) => authority.pem(name)

  async function serveTls(certificate: string, listener: RequestListener = (_request, answer) => answer.end('secure')) {
    const server = createHttpsServer({ key: pem(`${certificate}.key`), cert: pem(`${certificate}.pem`) }, listener)
    const asked: (string | false | null)[] = []
    server.on('secureConnection', (socket) => asked.push(socket.servername))
    return { ...(await listen(server)), asked }
  }
  const names: Answers = { 'hooks.test': ['127.0.0.1'], 'other.test': ['127.0.0.1'] }

  it('verifies the certificate against the name, sends the name, and reuses the connection', async () => {
    const { port, connections, asked } = await serveTls('good')
    const { post } = sender({ names, tls: { ca: pem('ca.pem') } })
    for (let n = 0; n < 3; n++) expect(Buffer.from(response(await post(`https://hooks.test:${port}/`)).body).toString()).toBe('secure')
    expect(asked).toEqual(['hooks.test'])
    expect(connections).toHaveLength(1)
    expect(response(await post(`https://127.0.0.1:${port}/`)).status).toBe(200)
  })

  it.each([
    ['of another name', 'good', 'other.test', 'ERR_TLS_CERT_ALTNAME_INVALID', true],
    ['that has expired', 'expired', 'hooks.test', 'CERT_HAS_EXPIRED', true],
    ['of an unknown authority', 'good', 'hooks.test', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', false],
    ['that it signed itself', 'ca', 'hooks.test', 'DEPTH_ZERO_SELF_SIGNED_CERT', false],
  ])('classifies a certificate %s as tls, and sends nothing', async (_what, certificate, host, code, isTrusted) => {
    let requests = 0
    const { port } = await serveTls(certificate, (_request, answer) => {
      requests++
      answer.end()
    })
    const { post } = sender({ names, ...(isTrusted ? { tls: { ca: pem('ca.pem') } } : {}) })
    expect(failure(await post(`https://${host}:${port}/`))).toMatchObject({ errorClass: 'tls', message: expect.stringContaining(code) })
    expect(requests).toBe(0)
  })

  it('classifies a receiver without TLS as tls, one that closes during the handshake as reset, and one that does not respond as timeout', async () => {
    const { post } = sender({ names })
    const plain = await serveHttp((_request, answer) => answer.end())
    expect(failureClass(await post(`https://hooks.test:${plain.port}/`))).toBe('tls')
    const leaving = await serveRaw((socket) => socket.destroy())
    expect(failureClass(await post(`https://hooks.test:${leaving.port}/`))).toBe('reset')
    const silent = await serveRaw(() => {})
    expect(failureClass(await post(`https://hooks.test:${silent.port}/`, { timeoutMs: 200 }))).toBe('timeout')
  })
})

describe('close', () => {
  it('ends requests in flight and unused connections, and refuses further requests', async () => {
    let arrived = () => {}
    const hanging = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const { port, connections } = await serveHttp((request, answer) => (request.url === '/hang' ? arrived() : answer.end()))
    const { http, post }: { http: OutgoingHttp; post: (url: string) => Promise<OutgoingResult> } = sender()
    response(await post(`http://127.0.0.1:${port}/`))
    const inFlight = post(`http://127.0.0.1:${port}/hang`).catch((error: unknown) => error)
    await hanging
    await http.close()
    expect(await inFlight).toMatchObject({ message: 'Outgoing HTTP is closed.' })
    await Promise.all(connections.map(untilClosed))
    await expect(post(`http://127.0.0.1:${port}/`)).rejects.toThrow('Outgoing HTTP is closed.')
    await expect(http.check(`http://127.0.0.1:${port}/`)).rejects.toThrow('Outgoing HTTP is closed.')
  })
})
