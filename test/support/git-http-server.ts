/** Serves git repositories over HTTP or HTTPS on 127.0.0.1 with `git http-backend`, optionally with Basic authentication. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'

export type GitHttpOptions = {
  /** Folder of the repositories, to which URL paths are relative. */
  root: string
  credential?: { username: string; password: string }
  tls?: { key: string; cert: string }
  /** Whether to offer only version 1 of git's protocol, which can't fetch a commit by its hash. */
  isOldProtocol?: boolean
  /** Called first for each request. Returns true if it handles the request itself, or leaves it unanswered. */
  intercept?(request: IncomingMessage, response: ServerResponse): boolean
}

export type GitHttpServer = {
  /** Base URL without a trailing slash: `${url}/name/.git`. */
  url: string
  port: number
  close(): Promise<void>
}

export async function serveGit(options: GitHttpOptions): Promise<GitHttpServer> {
  const children = new Set<ChildProcess>()
  const listener: RequestListener = (request, response) => {
    if (options.intercept?.(request, response)) return
    if (!isAllowed(request, options.credential)) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end()
      return
    }
    answerByBackend(request, response, options, children)
  }
  const server = options.tls === undefined ? createServer(listener) : createSecureServer(options.tls, listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await Promise.all([...children].map((child) => ended(child)))
    },
  }
}

function isAllowed(request: IncomingMessage, credential: GitHttpOptions['credential']): boolean {
  if (credential === undefined) return true
  const expected = Buffer.from(`${credential.username}:${credential.password}`).toString('base64')
  return request.headers.authorization === `Basic ${expected}`
}

function answerByBackend(request: IncomingMessage, response: ServerResponse, options: GitHttpOptions, children: Set<ChildProcess>): void {
  const url = new URL(request.url ?? '/', 'http://localhost')
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      HOME: dirname(options.root),
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_PROJECT_ROOT: options.root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      ...(request.headers['content-length'] === undefined ? {} : { CONTENT_LENGTH: request.headers['content-length'] }),
      ...(request.headers['content-encoding'] === undefined ? {} : { HTTP_CONTENT_ENCODING: request.headers['content-encoding'] }),
      ...(options.isOldProtocol ? {} : { GIT_PROTOCOL: String(request.headers['git-protocol'] ?? '') }),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  children.add(child)
  child.once('close', () => children.delete(child))
  child.stdin.on('error', () => {})
  request.pipe(child.stdin)
  response.once('close', () => child.kill('SIGKILL'))

  let head = Buffer.alloc(0)
  child.stdout.on('data', (chunk: Buffer) => {
    if (response.headersSent) {
      response.write(chunk)
      return
    }
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    const headers = head
      .subarray(0, end)
      .toString()
      .split('\r\n')
      .map((line) => line.split(/: (.*)/s))
    const status = headers.find(([name]) => name === 'Status')?.[1]
    response.writeHead(
      Number.parseInt(status ?? '200', 10),
      Object.fromEntries(headers.filter(([name]) => name !== 'Status').map(([name, value]) => [name, value ?? ''])),
    )
    response.write(head.subarray(end + 4))
  })
  child.stdout.once('end', () => {
    if (!response.headersSent) response.writeHead(500)
    response.end()
  })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGKILL')
  await closed
}
