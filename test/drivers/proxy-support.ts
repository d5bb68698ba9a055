/** A router on a real port with small real servers as instances, for the tests of the proxy driver. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type RequestOptions,
  request,
  type Server,
} from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import type { Address, Route, Router, StaticFiles, Upstreams } from '../../src/domain/deploys/instance/ports.ts'
import { createProxyRouter, type ProxyRouterOptions, type RequestRecord } from '../../src/drivers/proxy/index.ts'

export { until } from '../support/wait.ts'

export const digestA = `sha256:${'a'.repeat(64)}`
export const digestB = `sha256:${'b'.repeat(64)}`

export type Answer = { status: number; headers: IncomingHttpHeaders; body: string; trailers: NodeJS.Dict<string> }

/** A cleanup list, run in reverse order by the test's `afterEach`. */
export function createStack() {
  const cleanups: (() => Promise<unknown> | unknown)[] = []
  return {
    defer: (cleanup: () => Promise<unknown> | unknown) => void cleanups.push(cleanup),
    async unwind() {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
    },
  }
}

export type Bed = ReturnType<typeof createBed>

export function createBed(defer: (cleanup: () => Promise<unknown> | unknown) => void) {
  const instances = new Map<string, Address>()
  const sites = new Map<string, StaticFiles>()
  const upstreams: Upstreams = {
    addressOf: (id) => instances.get(id) ?? null,
    staticFiles: (digest) => sites.get(digest) ?? null,
  }
  const records: RequestRecord[] = []

  return {
    instances,
    sites,
    upstreams,
    records,
    async router(options: Partial<ProxyRouterOptions> = {}, { shared = false, isUnknown = false } = {}): Promise<Router> {
      const router = createProxyRouter({
        host: '127.0.0.1',
        port: 0,
        upstreams,
        onRequest: (record) => records.push(record),
        retryMs: 300,
        ...options,
      })
      if (!(await router.listen(undefined, { shared }))) throw new Error('port in use')
      if (!isUnknown) router.apply([])
      defer(() => router.close({ graceMs: 0 }))
      return router
    },
    async instance(id: string, listener: RequestListener): Promise<Server> {
      const server = createServer(listener)
      instances.set(id, { host: '127.0.0.1', port: await listen(server) })
      defer(() => closeServer(server))
      return server
    },
    /** An instance that sends raw bytes, for responses that node:http would never send. */
    async rawInstance(id: string, onSocket: (socket: Socket) => void): Promise<void> {
      const sockets = new Set<Socket>()
      const server = createTcpServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => {})
        onSocket(socket)
      })
      instances.set(id, { host: '127.0.0.1', port: await listen(server) })
      defer(() => {
        for (const socket of sockets) socket.destroy()
        return new Promise((resolve) => server.close(resolve))
      })
    },
    /** An instance whose port refuses connections, because it was closed just now. */
    async refusing(id: string): Promise<void> {
      const server = createTcpServer()
      instances.set(id, { host: '127.0.0.1', port: await listen(server) })
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function toInstances(host: string, instanceIds: string[], digest = digestA, deploymentId = 'dep-a'): Route {
  return { host, serviceId: `service-of-${host}`, digest, deploymentId, target: { type: 'instances', instanceIds } }
}

export async function listen(server: {
  listen(port: number, host: string, done: () => void): unknown
  address(): unknown
}): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await closed
}

export function call(
  router: Router,
  host: string,
  path: string,
  options: RequestOptions & { body?: string | Buffer } = {},
): Promise<Answer> {
  const { body, headers, ...rest } = options
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: router.port, path, agent: false, headers: { host, ...(headers as object) }, ...rest })
    sent.on('error', reject)
    sent.on('response', (response) => readBody(response).then(resolve, reject))
    sent.end(body)
  })
}

export function readBody(response: IncomingMessage): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('error', reject)
    response.on('end', () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(chunks).toString(),
        trailers: response.trailers,
      }),
    )
    response.resume()
  })
}

/** Sends raw bytes and returns everything received until the router closes the connection. */
export function callRaw(router: Router, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(router.port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })
}

export function inFlight(router: Router, instanceId: string): number {
  return router.load().find((load) => load.instanceId === instanceId)?.inFlight ?? 0
}
