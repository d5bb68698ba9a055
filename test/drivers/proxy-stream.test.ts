import { createHash } from 'node:crypto'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { type Bed, call, callRaw, createBed, createStack, digestA, inFlight, readBody, toInstances, until } from './proxy-support.ts'

const stack = createStack()
let bed: Bed
beforeEach(() => {
  bed = createBed(stack.defer)
})
afterEach(() => stack.unwind())

async function shop(listener: Parameters<Bed['instance']>[1], options: Parameters<Bed['router']>[0] = {}) {
  const server = await bed.instance('a', listener)
  const router = await bed.router(options)
  router.apply([toInstances('shop.localhost', ['a'])])
  const open = (path: string, method = 'GET', headers: Record<string, string> = {}) =>
    request({ host: '127.0.0.1', port: router.port, path, method, headers: { host: 'shop.localhost', ...headers }, agent: false })
  return { server, router, open }
}

function nextChunk(stream: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    stream.once('data', (chunk: Buffer) => {
      stream.pause()
      resolve(chunk.toString())
    })
    stream.once('error', reject)
    stream.resume()
  })
}

describe('streaming', () => {
  it('forwards the first bytes in both directions before the request has ended', async () => {
    const { open } = await shop((incoming, response) => {
      response.writeHead(200)
      incoming.pipe(response)
    })
    const sent = open('/', 'POST')
    sent.write('first')
    const response = await new Promise<IncomingMessage>((resolve) => sent.on('response', resolve))
    expect(await nextChunk(response)).toBe('first')
    sent.write('second')
    expect(await nextChunk(response)).toBe('second')
    sent.end()
    expect((await readBody(response)).body).toBe('')
  })

  it('forwards the headers and each server-sent event immediately', async () => {
    const events: ((text: string) => void)[] = []
    const { open } = await shop((_incoming, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
      events.push((text) => response.write(text))
    })
    const sent = open('/')
    sent.end()
    const response = await new Promise<IncomingMessage>((resolve) => sent.on('response', resolve))
    expect(response.headers['content-type']).toBe('text/event-stream')
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      events[0]?.(event)
      expect(await nextChunk(response)).toBe(event)
    }
    sent.destroy()
  })

  it('applies back-pressure to the sender if the receiver does not read', async () => {
    const chunk = Buffer.alloc(64 * 1024)
    let written = 0
    const { open } = await shop((_incoming, response) => {
      const fill = () => {
        let more = true
        while (more && !response.destroyed && written < 200_000_000) {
          written += chunk.length
          more = response.write(chunk)
        }
      }
      response.on('drain', fill)
      fill()
    })
    const sent = open('/')
    sent.end()
    const response = await new Promise<IncomingMessage>((resolve) => sent.on('response', resolve))
    response.pause()
    let before = -1
    let equal = 0
    while (equal < 50) {
      equal = written === before ? equal + 1 : 0
      before = written
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(written).toBeLessThan(40_000_000)
    sent.destroy()
  })

  it('forwards a large upload unchanged', async () => {
    const { router } = await shop((incoming, response) => {
      const hash = createHash('sha256')
      incoming.on('data', (chunk: Buffer) => hash.update(chunk))
      incoming.on('end', () => response.end(hash.digest('hex')))
    })
    const body = Buffer.alloc(20_000_000, 'quayside')
    for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
      const answer = await call(router, 'shop.localhost', '/', { method: 'PUT', body, headers })
      expect(answer.body).toBe(createHash('sha256').update(body).digest('hex'))
    }
  })

  it('forwards a response that arrives before the body was read, and keeps the client connection usable', async () => {
    const { router } = await shop((incoming, response) => {
      if (incoming.method === 'POST') response.writeHead(413).end('too large')
      else response.end('next')
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    stack.defer(() => agent.destroy())
    for (let i = 0; i < 10; i += 1) {
      const refused = await call(router, 'shop.localhost', '/', { method: 'POST', body: Buffer.alloc(5_000_000), agent })
      expect([refused.status, refused.body]).toEqual([413, 'too large'])
      expect((await call(router, 'shop.localhost', '/', { agent })).body).toBe('next')
    }
  })

  it('forwards responses without a body unchanged: HEAD, 204, 304', async () => {
    const { router } = await shop((incoming, response) => {
      const status = Number(incoming.url?.slice(1))
      response.writeHead(status, incoming.method === 'HEAD' ? { 'Content-Length': '1234' } : { ETag: '"1"' }).end()
    })
    const head = await call(router, 'shop.localhost', '/200', { method: 'HEAD' })
    expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '1234', ''])
    for (const status of [204, 304]) {
      const answer = await call(router, 'shop.localhost', `/${status}`)
      expect([answer.status, answer.headers.etag, answer.headers['transfer-encoding'], answer.body]).toEqual([status, '"1"', undefined, ''])
    }
  })

  it('responds to an HTTP/1.0 client without chunks', async () => {
    const { router } = await shop((_incoming, response) => {
      response.write('one ')
      response.end('two')
    })
    const answer = await callRaw(router, 'GET / HTTP/1.0\r\nHost: shop.localhost\r\n\r\n')
    expect(answer).toMatch(/\r\n\r\none two$/)
    expect(answer).not.toMatch(/transfer-encoding/i)
  })

  it('forwards trailers in both directions', async () => {
    const { open } = await shop((incoming, response) => {
      response.writeHead(200, { Trailer: 'X-Sum' })
      incoming.resume().on('end', () => {
        response.addTrailers({ 'X-Sum': `got ${incoming.trailers['x-in']}` })
        response.end('body')
      })
    })
    const sent = open('/', 'POST', { trailer: 'X-In' })
    const response = new Promise<IncomingMessage>((resolve) => sent.on('response', resolve))
    sent.write('part')
    sent.addTrailers({ 'X-In': '7' })
    sent.end()
    const answer = await readBody(await response)
    expect([answer.body, answer.trailers]).toEqual(['body', { 'x-sum': 'got 7' }])
  })

  it('leaves "100 Continue" to the instance, and forwards its rejection without sending the body', async () => {
    const { server, open } = await shop((incoming, response) => void incoming.pipe(response))
    server.on('checkContinue', (incoming, response) => {
      if (incoming.url === '/refused') return response.writeHead(413).end('too large')
      response.writeContinue()
      incoming.pipe(response)
    })
    const accepted = open('/accepted', 'POST', { expect: '100-continue', 'content-length': '4' })
    accepted.flushHeaders()
    accepted.on('continue', () => accepted.end('body'))
    const echoed = await readBody(await new Promise<IncomingMessage>((resolve) => accepted.on('response', resolve)))
    expect(echoed.body).toBe('body')

    const refused = open('/refused', 'POST', { expect: '100-continue', 'content-length': '4' })
    let continued = false
    refused.on('continue', () => {
      continued = true
    })
    refused.flushHeaders()
    const answer = await readBody(await new Promise<IncomingMessage>((resolve) => refused.on('response', resolve)))
    expect([answer.status, answer.body, continued]).toEqual([413, 'too large', false])
    refused.destroy()
  })

  it('closes the request to the instance when the client disconnects, and no longer counts it', async () => {
    const held: IncomingMessage[] = []
    let closed = false
    const { open, router } = await shop((incoming, response) => {
      held.push(incoming)
      response.on('close', () => {
        closed = true
      })
    })
    const sent = open('/')
    sent.on('error', () => {})
    sent.end()
    await until('the instance has it', () => held.length === 1)
    expect(inFlight(router, 'a')).toBe(1)
    sent.destroy()
    await until('the instance sees the end', () => closed)
    await until('nothing in flight', () => inFlight(router, 'a') === 0)
  })

  it('aborts the response, instead of ending it, if the instance dies in the middle of it', async () => {
    const { router } = await shop((incoming, response) => {
      response.write('half of it')
      nextTurn().then(() => incoming.socket.destroy())
    })
    await expect(call(router, 'shop.localhost', '/')).rejects.toThrow('aborted')
    await until('it is recorded', () => bed.records.length === 1)
    expect(bed.records[0]).toMatchObject({ status: 200, error: 'upstream_failed' })
  })
})

describe('keep-alive connections', () => {
  it('are reused, and a GET on one that the app has just closed is retried on a new one', async () => {
    const seenOn: number[] = []
    let connections = 0
    await bed.rawInstance('a', (socket) => {
      connections += 1
      const own = connections
      let requests = 0
      socket.on('data', () => {
        requests += 1
        // On the third request, the app closes the first connection without a sign that it has read the request.
        if (own === 1 && requests === 3) return void socket.resetAndDestroy()
        seenOn.push(own)
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
    })
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    for (let i = 0; i < 3; i += 1) expect((await call(router, 'shop.localhost', '/')).body).toBe('ok')
    expect(seenOn).toEqual([1, 1, 2])
  })

  it('are never used for a POST, because it would be unknown whether a closing app has read it', async () => {
    let connections = 0
    const { router, server } = await shop((incoming, response) => void incoming.pipe(response))
    server.on('connection', () => {
      connections += 1
    })
    await call(router, 'shop.localhost', '/')
    await call(router, 'shop.localhost', '/', { method: 'POST', body: '1' })
    await call(router, 'shop.localhost', '/')
    expect(connections).toBe(2)
  })

  it('are closed when the instance is no longer routed, so that its shutdown does not wait for them', async () => {
    const { router, server } = await shop((_incoming, response) => response.end('ok'))
    let open = 0
    server.on('connection', (socket) => {
      open += 1
      socket.on('close', () => {
        open -= 1
      })
    })
    await call(router, 'shop.localhost', '/')
    expect(open).toBe(1)
    router.apply([])
    await until('the idle connection is closed', () => open === 0)
    expect(router.load()).toEqual([])
  })
})

describe('WebSockets', () => {
  async function echo() {
    const bedded = await shop((_incoming, response) => response.writeHead(426).end('upgrade, please'))
    const sockets = new WebSocketServer({ noServer: true })
    bedded.server.on('upgrade', (incoming, socket, head) => {
      if (incoming.url === '/refused') {
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno')
        return
      }
      sockets.handleUpgrade(incoming, socket, head, (webSocket) => {
        webSocket.send(`hello ${incoming.headers.host} ${incoming.headers['x-forwarded-for']}`)
        webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }))
      })
    })
    stack.defer(() => {
      for (const client of sockets.clients) client.terminate()
      sockets.close()
    })
    const open = (path = '/') => {
      const client = new WebSocket(`ws://127.0.0.1:${bedded.router.port}${path}`, { headers: { host: 'shop.localhost' } })
      stack.defer(() => client.terminate())
      return client
    }
    return { ...bedded, openSocket: open, sockets }
  }
  const message = (client: WebSocket) => new Promise<string>((resolve) => client.once('message', (data) => resolve(data.toString())))

  it('are forwarded to an instance, counted while open, and closed when the other end closes', async () => {
    const { openSocket, router } = await echo()
    const client = openSocket()
    const upgraded = new Promise<IncomingMessage>((resolve) => client.once('upgrade', resolve))
    expect(await message(client)).toBe('hello shop.localhost 127.0.0.1')
    expect((await upgraded).headers['x-quayside-release']).toBe(digestA)
    const large = 'x'.repeat(3_000_000)
    client.send(large)
    expect(await message(client)).toBe(large)
    expect(inFlight(router, 'a')).toBe(1)

    const closed = new Promise<number>((resolve) => client.once('close', resolve))
    client.close(1000)
    expect(await closed).toBe(1000)
    await until('nothing in flight', () => inFlight(router, 'a') === 0)
    await until('it is recorded', () => bed.records.length === 1)
    expect(bed.records[0]).toMatchObject({ status: 101, upgraded: true, instanceId: 'a' })
  })

  it('stay open and counted when their instance is no longer routed', async () => {
    const { openSocket, router } = await echo()
    const client = openSocket()
    await message(client)
    router.apply([])
    expect(inFlight(router, 'a')).toBe(1)
    client.send('still there')
    expect(await message(client)).toBe('still there')
    client.terminate()
    await until('it is forgotten', () => router.load().length === 0)
  })

  it('are closed at the client when the instance ends', async () => {
    const { openSocket, sockets } = await echo()
    const client = openSocket()
    await message(client)
    const closed = new Promise<number>((resolve) => client.once('close', resolve))
    for (const server of sockets.clients) server.terminate()
    expect(await closed).toBe(1006)
  })

  it('are rejected with the response of the instance or of the router', async () => {
    const { openSocket, router } = await echo()
    const status = (client: WebSocket) =>
      new Promise<number | undefined>((resolve) => {
        client.on('error', () => {})
        client.once('unexpected-response', (sent, response) => {
          resolve(response.statusCode)
          sent.destroy()
        })
      })
    expect(await status(openSocket('/refused'))).toBe(403)
    router.apply([])
    expect(await status(openSocket())).toBe(404)
    expect(router.load()).toEqual([])
  })

  it('do not include an upgrade to h2c, to which the response is HTTP/1.1', async () => {
    const { router } = await shop((incoming, response) => response.end(`upgrade ${incoming.headers.upgrade}`))
    const answer = await callRaw(
      router,
      'GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).toContain('upgrade undefined')
  })

  it('lose no data that the client sends before the response', async () => {
    await bed.rawInstance('raw', (socket) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
        if (text.endsWith('early')) socket.end('got early')
        else socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n')
      })
    })
    const router = await bed.router()
    router.apply([toInstances('raw.localhost', ['raw'])])
    const answer = await new Promise<string>((resolve) => {
      let text = ''
      const socket = connect(router.port, '127.0.0.1', () =>
        socket.write('GET / HTTP/1.1\r\nHost: raw.localhost\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nearly'),
      )
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('close', () => resolve(text))
    })
    expect(answer).toMatch(/^HTTP\/1\.1 101 /)
    expect(answer).toMatch(/got early$/)
  })
})
