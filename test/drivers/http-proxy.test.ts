import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { OutgoingRequest } from '../../src/domain/webhooks/endpoint/ports.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { startReceiver } from '../support/receiver.ts'

const cleanups: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {})
    sockets.add(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  })
  return (server.address() as AddressInfo).port
}

/** Connects two sockets to each other once both are established. */
function tie(a: Socket, b: Socket): void {
  a.pipe(b)
  b.pipe(a)
  for (const [one, other] of [[a, b] as const, [b, a] as const]) one.on('close', () => other.destroy()).on('error', () => other.destroy())
}

type Seen = { targets: string[]; credentials: (string | undefined)[] }

/** An HTTP proxy that tunnels, or answers CONNECT with an error status. */
async function httpProxy(status = 200): Promise<{ port: number; seen: Seen }> {
  const seen: Seen = { targets: [], credentials: [] }
  const server = createHttpServer()
  server.on('connect', (request, socket: Socket) => {
    seen.targets.push(request.url ?? '')
    seen.credentials.push(request.headers['proxy-authorization'])
    if (status !== 200) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`)
    const [host = '', port] = (request.url ?? '').split(':')
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      tie(socket, upstream)
    })
  })
  return { port: await listen(server), seen }
}

/** A SOCKS 5 proxy that optionally requires a user and password, and replies with a code. */
async function socksProxy({ signIn = false, code = 0 } = {}): Promise<{ port: number; seen: Seen }> {
  const seen: Seen = { targets: [], credentials: [] }
  const server = createServer((socket) => {
    let stage = 0
    const take = (bytes: Buffer) => {
      if (stage === 0) {
        stage = signIn ? 1 : 2
        return void socket.write(Buffer.from([5, signIn ? 2 : 0]))
      }
      if (stage === 1) {
        const nameLength = bytes[1]!
        seen.credentials.push(`${bytes.subarray(2, 2 + nameLength)}:${bytes.subarray(3 + nameLength)}`)
        stage = 2
        return void socket.write(Buffer.from([1, 0]))
      }
      socket.off('data', take)
      const target = `${[...bytes.subarray(4, 8)].join('.')}:${bytes.readUInt16BE(8)}`
      seen.targets.push(target)
      const reply = Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0])
      if (code !== 0) return void socket.end(reply)
      const upstream = connect(bytes.readUInt16BE(8), '127.0.0.1', () => {
        socket.write(reply)
        tie(socket, upstream)
      })
    }
    socket.on('data', take)
  })
  return { port: await listen(server), seen }
}

function sender(url: string, { except = [], allow = ['127.0.0.0/8'], ca }: { except?: string[]; allow?: string[]; ca?: string } = {}) {
  const names: Record<string, string> = { 'receiver.test': '127.0.0.1', 'inside.test': '10.1.2.3' }
  const guard = createEgressGuard({
    allow,
    lookup: async (hostname) => [{ address: names[hostname] ?? '203.0.113.1', family: 4 }],
  })
  const http = createHttpOutgoing({ guard, proxy: { url, except }, ...(ca ? { tls: { ca } } : {}) })
  cleanups.push(() => http.close())
  return (target: string, rest: Partial<OutgoingRequest> = {}) =>
    http.post({ url: target, headers: {}, body: Buffer.from('{"a":1}'), timeoutMs: 5_000, maxResponseBytes: 65_536, ...rest })
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'quayside-proxy-'))
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=receiver.test',
      '-addext',
      'subjectAltName=DNS:receiver.test',
      '-keyout',
      join(folder, 'key.pem'),
      '-out',
      join(folder, 'cert.pem'),
    ],
    { stdio: 'ignore' },
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const receive = async () => {
  const receiver = await startReceiver()
  cleanups.push(() => receiver.close())
  return { ...receiver, port: Number(new URL(receiver.url).port) }
}

describe.each([
  ['http', (port: number, user = '') => `http://${user}127.0.0.1:${port}`, httpProxy as () => Promise<{ port: number; seen: Seen }>],
  ['socks5', (port: number, user = '') => `socks5://${user}127.0.0.1:${port}`, () => socksProxy()],
] as const)('an %s proxy', (kind, urlOf, startProxy) => {
  it('receives the checked address, not the name, and carries the request', async () => {
    const receiver = await receive()
    const proxy = await startProxy()
    const post = sender(urlOf(proxy.port))
    expect(await post(`http://receiver.test:${receiver.port}/hook`)).toMatchObject({ type: 'response', status: 204 })
    expect(proxy.seen.targets).toEqual([`127.0.0.1:${receiver.port}`])
    expect(receiver.requests[0]).toMatchObject({ path: '/hook', headers: { host: `receiver.test:${receiver.port}` } })
    expect(receiver.requests[0]!.body.toString()).toBe('{"a":1}')
  })

  it('carries TLS whose certificate is checked for the name', async () => {
    const [key, cert] = [readFileSync(join(folder, 'key.pem')), readFileSync(join(folder, 'cert.pem'), 'utf8')]
    const port = await listen(createHttpsServer({ key, cert }, (_request, response) => response.writeHead(200).end('ok')))
    const proxy = await startProxy()
    const post = sender(urlOf(proxy.port), { ca: cert })
    expect(await post(`https://receiver.test:${port}/`)).toMatchObject({ type: 'response', status: 200 })
    expect(await post(`https://127.0.0.1:${port}/`)).toMatchObject({ type: 'failure', errorClass: 'tls' })
    expect(await sender(urlOf(proxy.port))(`https://receiver.test:${port}/`)).toMatchObject({ type: 'failure', errorClass: 'tls' })
  })

  it('sends nothing to a target that the guard refuses', async () => {
    const proxy = await startProxy()
    const post = sender(urlOf(proxy.port))
    expect(await post('https://inside.test/')).toMatchObject({ type: 'failure', errorClass: 'blocked' })
    expect(await post('https://169.254.169.254/')).toMatchObject({ type: 'failure', errorClass: 'blocked' })
    expect(proxy.seen.targets).toEqual([])
  })

  it.each(['receiver.test', '.test', 'test', '127.0.0.0/8', '127.0.0.1', '*'])('is not used for what NO_PROXY names: %s', async (entry) => {
    const receiver = await receive()
    const proxy = await startProxy()
    const post = sender(urlOf(proxy.port), { except: ['other.example', entry] })
    expect(await post(`http://receiver.test:${receiver.port}/`)).toMatchObject({ status: 204 })
    expect(proxy.seen.targets).toEqual([])
  })

  it('that cannot be reached is a local fault, not one of the receiver', async () => {
    const receiver = await receive()
    const { port } = await receive()
    await cleanups.pop()!()
    await expect(sender(urlOf(port))(`http://receiver.test:${receiver.port}/`)).rejects.toThrow('egress proxy')
    expect(receiver.requests).toEqual([])
  })

  it('carries several requests over one connection', async () => {
    const receiver = await receive()
    const proxy = await startProxy()
    const post = sender(urlOf(proxy.port))
    for (let n = 0; n < 3; n++) expect(await post(`http://receiver.test:${receiver.port}/${kind}`)).toMatchObject({ status: 204 })
    expect(proxy.seen.targets).toHaveLength(1)
  })
})

describe('responses of a proxy', () => {
  it('user and password are sent to an HTTP proxy', async () => {
    const receiver = await receive()
    const proxy = await httpProxy()
    await sender(`http://me:p%40ss@127.0.0.1:${proxy.port}`)(`http://receiver.test:${receiver.port}/`)
    expect(proxy.seen.credentials).toEqual([`Basic ${Buffer.from('me:p@ss').toString('base64')}`])
  })

  it('user and password are sent to a SOCKS proxy that requires them', async () => {
    const receiver = await receive()
    const proxy = await socksProxy({ signIn: true })
    expect(await sender(`socks5://me:secret@127.0.0.1:${proxy.port}`)(`http://receiver.test:${receiver.port}/`)).toMatchObject({
      status: 204,
    })
    expect(proxy.seen.credentials).toEqual(['me:secret'])
  })

  it('a target that the proxy cannot reach is a failure of the receiver; a refusal of the proxy is a local fault', async () => {
    const target = 'http://receiver.test:9/'
    expect(await sender(`http://127.0.0.1:${(await httpProxy(502)).port}`)(target)).toMatchObject({ errorClass: 'refused' })
    expect(await sender(`socks5://127.0.0.1:${(await socksProxy({ code: 5 })).port}`)(target)).toMatchObject({ errorClass: 'refused' })
    await expect(sender(`http://127.0.0.1:${(await httpProxy(407)).port}`)(target)).rejects.toThrow('407')
    await expect(sender(`socks5://127.0.0.1:${(await socksProxy({ code: 2 })).port}`)(target)).rejects.toThrow('code 2')
  })
})

describe('a proxy that fails before its handshake is complete is a local fault, and nothing counts as sent', () => {
  /** Sends one reply per message received. Null ends the connection, and 'reset' resets it. */
  const troubled = (...answers: (string | number[] | null)[]) => {
    const server = createServer((socket) => {
      const left = [...answers]
      socket.on('data', () => {
        const answer = left.shift()
        if (answer === null) socket.end()
        else if (answer === 'reset') socket.resetAndDestroy()
        else if (answer !== undefined) socket.write(typeof answer === 'string' ? answer : Buffer.from(answer))
      })
    })
    return listen(server)
  }

  it.each([
    ['http', 'says nothing', []],
    ['http', 'begins an answer and stops', ['HTTP/1.1 200 Conn']],
    ['http', 'ends the connection', [null]],
    ['http', 'breaks it off', ['reset']],
    ['http', 'answers another protocol', ['SSH-2.0-OpenSSH_9.2\r\n\r\n']],
    ['http', 'answers garbage', ['\0\r\n\r\n']],
    ['http', 'answers without end', ['x'.repeat(40_000)]],
    ['socks5', 'says nothing', []],
    ['socks5', 'stops in the greeting', [[5]]],
    ['socks5', 'says nothing after the greeting', [[5, 0]]],
    [
      'socks5',
      'stops in its answer',
      [
        [5, 0],
        [5, 0, 0, 1],
      ],
    ],
    ['socks5', 'ends the connection in the greeting', [null]],
    ['socks5', 'breaks it off after the greeting', [[5, 0], 'reset']],
    ['socks5', 'speaks HTTP', ['HTTP/1.1 400 Bad Request\r\n\r\n']],
    [
      'socks5',
      'speaks another version',
      [
        [4, 0],
        [0, 90, 0, 0, 0, 0, 0, 0, 0, 0],
      ],
    ],
    [
      'socks5',
      'answers garbage after the greeting',
      [
        [5, 0],
        [0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
      ],
    ],
  ] as [string, string, (string | number[] | null)[]][])('%s: %s', async (kind, _what, answers) => {
    const receiver = await receive()
    const port = await troubled(...answers)
    for (const scheme of ['http', 'https']) {
      let sent = 0
      const post = sender(`${kind}://127.0.0.1:${port}`)
      const tried = post(`${scheme}://receiver.test:${receiver.port}/`, { timeoutMs: 150, fresh: true, onSend: () => sent++ })
      await expect(tried).rejects.toMatchObject({ code: 'PROXY', message: expect.stringMatching(/^The egress proxy/) })
      expect(sent).toBe(0)
    }
    expect(receiver.requests).toEqual([])
  })

  it('bytes that arrive together with the end of the handshake belong to the receiver', async () => {
    const answer = 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n'
    const early = await troubled(`HTTP/1.1 200 OK\r\n\r\n${answer}`)
    const socks = await troubled([5, 0], [5, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...Buffer.from(answer)])
    for (const url of [`http://127.0.0.1:${early}`, `socks5://127.0.0.1:${socks}`])
      expect(await sender(url)('http://receiver.test:9/', { timeoutMs: 2_000 })).toMatchObject({ status: 202 })
  })

  it('a receiver that does not respond behind a working proxy is a failure of the receiver', async () => {
    const silent = await listen(createServer((socket) => void socket.on('data', () => {})))
    const [proxy, socks] = [await httpProxy(), await socksProxy()]
    for (const url of [`http://127.0.0.1:${proxy.port}`, `socks5://127.0.0.1:${socks.port}`]) {
      expect(await sender(url)(`http://receiver.test:${silent}/`, { timeoutMs: 300 })).toMatchObject({ errorClass: 'timeout' })
      expect(await sender(url)(`https://receiver.test:${silent}/`, { timeoutMs: 300 })).toMatchObject({ errorClass: 'timeout' })
    }
  })

  it('an aborted request leaves no connection to the proxy behind, whatever its phase', async () => {
    for (const [kind, answers] of [
      ['http', []],
      ['socks5', []],
      ['socks5', [[5, 0]]],
    ] as [string, number[][]][]) {
      const { promise: arrived, resolve } = Promise.withResolvers<Socket>()
      const port = await listen(
        createServer((socket) => {
          const left = [...answers]
          socket.on('data', () => {
            const answer = left.shift()
            if (answer) socket.write(Buffer.from(answer))
            else resolve(socket)
          })
        }),
      )
      const stop = new AbortController()
      const tried = sender(`${kind}://127.0.0.1:${port}`)('http://receiver.test:9/', { signal: stop.signal })
      const socket = await arrived
      const closed = new Promise((done) => socket.once('close', done))
      stop.abort(new Error('given up'))
      await expect(tried).rejects.toThrow('given up')
      await closed
    }
  })
})
