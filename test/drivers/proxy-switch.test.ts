import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createProxyRouter } from '../../src/drivers/proxy/index.ts'
import {
  type Answer,
  type Bed,
  call,
  closeServer,
  createBed,
  createStack,
  digestA,
  digestB,
  inFlight,
  readBody,
  toInstances,
  until,
} from './proxy-support.ts'

const stack = createStack()
let bed: Bed
beforeEach(() => {
  bed = createBed(stack.defer)
})
afterEach(() => stack.unwind())

describe('a switch under traffic', () => {
  it('fails no request if each previous instance is closed as soon as it has no request in flight', async () => {
    const router = await bed.router()
    const start = (id: string) =>
      bed.instance(id, (incoming, response) => {
        incoming.resume().on('end', () => setImmediate(() => response.end(id)))
      })
    const release = (n: number) => (n % 2 === 0 ? digestA : digestB)
    let server = await start('instance-0')
    router.apply([toInstances('shop.localhost', ['instance-0'], release(0), 'dep-0')])

    const agent = new Agent({ keepAlive: true, maxSockets: 8 })
    stack.defer(() => agent.destroy())
    const answers: Answer[] = []
    const failures: unknown[] = []
    const total = 3_000
    let sent = 0
    let last = false
    const client = async () => {
      while (sent < total || !last) {
        sent += 1
        const post = sent % 3 === 0
        await call(router, 'shop.localhost', '/', {
          agent,
          method: post ? 'POST' : 'GET',
          body: post ? 'x'.repeat(2_000) : undefined,
        }).then(
          (answer) => (answer.status === 200 ? answers : failures).push(answer),
          (error) => failures.push(error),
        )
      }
    }
    const clients = Array.from({ length: 8 }, client)

    const switches = 12
    for (let n = 1; n <= switches; n += 1) {
      const from = answers.length
      await until('traffic goes on', () => answers.length + failures.length > from + 60)
      const former = server
      server = await start(`instance-${n}`)
      router.apply([toInstances('shop.localhost', [`instance-${n}`], release(n), `dep-${n}`)])
      await until('the former is drained', () => inFlight(router, `instance-${n - 1}`) === 0)
      await closeServer(former)
    }
    last = true
    await Promise.all(clients)

    expect(failures).toEqual([])
    expect(answers.length).toBeGreaterThanOrEqual(total)
    for (const { body, headers } of answers) expect(headers['x-quayside-deployment']).toBe(body.replace('instance', 'dep'))
    expect(new Set(answers.map(({ body }) => body)).size).toBe(switches + 1)
  })

  it('lets a running request finish at its old instance while new ones go to the new instance', async () => {
    const held: (() => void)[] = []
    await bed.instance('old', (_incoming, response) => void held.push(() => response.end('old')))
    await bed.instance('new', (_incoming, response) => response.end('new'))
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['old'])])
    const running = call(router, 'shop.localhost', '/')
    await until('it runs', () => held.length === 1)
    router.apply([toInstances('shop.localhost', ['new'], digestB, 'dep-b')])
    expect((await call(router, 'shop.localhost', '/')).body).toBe('new')
    expect(inFlight(router, 'old')).toBe(1)
    held[0]?.()
    const answer = await running
    expect([answer.body, answer.headers['x-quayside-release']]).toEqual(['old', digestA])
    await until('the old one is forgotten', () => router.load().every(({ instanceId }) => instanceId !== 'old'))
  })
})

describe('the port', () => {
  it('is opened by one router; another gets false, and true once the first has closed', async () => {
    await bed.instance('a', (_incoming, response) => response.end('ok'))
    const first = await bed.router()
    const second = createProxyRouter({
      host: '127.0.0.1',
      port: first.port,
      upstreams: bed.upstreams,
    })
    stack.defer(() => second.close({ graceMs: 0 }))
    expect(await second.listen()).toBe(false)
    expect(await second.listen()).toBe(false)
    await first.close({ graceMs: 0 })
    expect(await second.listen()).toBe(true)
    expect(second.port).toBe(first.port)
    second.apply([toInstances('shop.localhost', ['a'])])
    expect((await call(second, 'shop.localhost', '/')).body).toBe('ok')
  })

  it('is the same again after a close', async () => {
    const router = await bed.router()
    const { port } = router
    await router.close({ graceMs: 0 })
    expect(await router.listen()).toBe(true)
    expect(router.port).toBe(port)
    router.apply([])
    expect((await call(router, 'x.localhost', '/')).status).toBe(404)
  })

  it.runIf(process.platform === 'linux')(
    'is shared with other processes of this installation: one can leave and return, and no request is lost',
    async () => {
      await bed.instance('a', (_incoming, response) => response.end('ok'))
      const steady = await bed.router()
      steady.apply([toInstances('shop.localhost', ['a'])])
      const restarted = await bed.router({ port: steady.port }, { shared: true, isUnknown: true })
      let stopped = false
      const failures: unknown[] = []
      let answered = 0
      const clients = Array.from({ length: 3 }, async () => {
        while (!stopped) {
          await call(steady, 'shop.localhost', '/').then(
            (answer) => {
              if (answer.body === 'ok') answered += 1
              else failures.push(answer)
            },
            (error) => failures.push(error),
          )
        }
      })
      for (let turn = 0; turn < 5; turn += 1) {
        if (turn > 0) expect(await restarted.listen(steady.port, { shared: true })).toBe(true)
        restarted.apply([toInstances('shop.localhost', ['a'])])
        const from = answered
        await until('requests go on', () => answered + failures.length > from + 50)
        await restarted.close({ graceMs: 5_000 })
      }
      stopped = true
      await Promise.all(clients)
      expect(failures).toEqual([])
    },
  )

  it('causes an error if it cannot be opened for another reason', async () => {
    const router = createProxyRouter({ host: '192.0.2.1', port: 0, upstreams: bed.upstreams })
    await expect(router.listen()).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
  })
})

describe('before the first routing table', () => {
  it('a request waits for it', async () => {
    await bed.instance('a', (_incoming, response) => response.end('ok'))
    const router = await bed.router({ holdMs: 60_000 }, { shared: false, isUnknown: true })
    expect(router).toMatchObject({ listens: true, ready: false })
    const waiting = call(router, 'shop.localhost', '/')
    router.apply([toInstances('shop.localhost', ['a'])])
    expect(router.ready).toBe(true)
    expect((await waiting).body).toBe('ok')
  })

  it('a request that has waited for holdMs gets 503 with Retry-After', async () => {
    const router = await bed.router({ holdMs: 20 }, { shared: false, isUnknown: true })
    const answer = await call(router, 'shop.localhost', '/')
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1', 'x-quayside-error': 'router_starting' } })
    await router.close({ graceMs: 0 })
    await router.listen()
    expect((await call(router, 'shop.localhost', '/')).status).toBe(503)
  })
})

describe('a change of some routes', () => {
  it('replaces the routes of these services, whatever their hosts were, and keeps all others', async () => {
    for (const id of ['a', 'b', 'c']) await bed.instance(id, (_incoming, response) => response.end(id))
    const router = await bed.router()
    router.apply([toInstances('a.localhost', ['a']), toInstances('b.localhost', ['b']), toInstances('c.localhost', ['c'])])
    const asked = async () =>
      Object.fromEntries(
        await Promise.all(
          ['a', 'b', 'c', 'd'].map(async (name) => [
            name,
            (await call(router, `${name}.localhost`, '/')).headers['x-quayside-error'] ?? 'ok',
          ]),
        ),
      )
    const moved = { ...toInstances('b.localhost', ['a']), serviceId: 'service-of-a.localhost' }
    router.change([
      { serviceId: 'service-of-b.localhost', route: null },
      { serviceId: 'service-of-a.localhost', route: moved },
    ])
    expect(await asked()).toEqual({ a: 'unknown_host', b: 'ok', c: 'ok', d: 'unknown_host' })
    expect((await call(router, 'b.localhost', '/')).body).toBe('a')
    router.change([{ serviceId: 'service-of-d', route: { ...toInstances('d.localhost', ['b']), serviceId: 'service-of-d' } }])
    expect(await asked()).toEqual({ a: 'unknown_host', b: 'ok', c: 'ok', d: 'ok' })
  })
})

describe('close', () => {
  const refused = (port: number) =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('connect', () => {
        socket.destroy()
        resolve(false)
      })
      socket.on('error', () => resolve(true))
    })

  it('accepts no new connection, lets running requests finish, and sends "Connection: close"', async () => {
    const held: (() => void)[] = []
    await bed.instance('a', (_incoming, response) => void held.push(() => response.end('done')))
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    const agent = new Agent({ keepAlive: true })
    stack.defer(() => agent.destroy())
    const running = call(router, 'shop.localhost', '/', { agent })
    await until('it runs', () => held.length === 1)
    const closed = router.close({ graceMs: 60_000 })
    await until('it refuses', () => router.listens === false)
    while (!(await refused(router.port))) {}
    held[0]?.()
    const answer = await running
    expect([answer.body, answer.headers.connection]).toEqual(['done', 'close'])
    await closed
  })

  it('aborts requests that have not finished within the grace period', async () => {
    await bed.instance('a', (_incoming, response) => void response.write('endless'))
    const router = await bed.router()
    router.apply([toInstances('shop.localhost', ['a'])])
    const sent = request({ host: '127.0.0.1', port: router.port, headers: { host: 'shop.localhost' }, agent: false })
    sent.end()
    const response = await new Promise<IncomingMessage>((resolve) => sent.on('response', resolve))
    const body = readBody(response)
    const cut = expect(body).rejects.toThrow('aborted')
    await router.close({ graceMs: 50 })
    await cut
    await until('nothing in flight', () => inFlight(router, 'a') === 0)
  })

  it('does not wait for idle connections or open WebSockets', async () => {
    await bed.rawInstance('a', (socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n'))
    })
    const router = await bed.router()
    router.apply([toInstances('raw.localhost', ['a'])])
    const idle = connect(router.port, '127.0.0.1')
    const tunnel = request({
      host: '127.0.0.1',
      port: router.port,
      headers: { host: 'raw.localhost', connection: 'upgrade', upgrade: 'raw' },
      agent: false,
    })
    tunnel.end()
    const socket = await new Promise<NodeJS.EventEmitter>((resolve) => tunnel.on('upgrade', (_response, upgraded) => resolve(upgraded)))
    const ended = new Promise((resolve) => socket.on('close', resolve))
    idle.on('error', () => {})
    await router.close({ graceMs: 600_000 })
    await ended
    expect(inFlight(router, 'a')).toBe(0)
    idle.destroy()
  })
})
