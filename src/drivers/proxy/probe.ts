import { randomBytes } from 'node:crypto'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { RouterAnswer, RouterProbe } from '../../domain/deploys/instance/ports.ts'
import type { AnswerCode } from './exchange.ts'
import { privateHeader } from './header.ts'
import type { PrivateRoutes } from './private-route.ts'

export type RouterProbeOptions = { host: string; port: () => number; privateRoutes: PrivateRoutes }

export function createRouterProbe({ host: address, port, privateRoutes }: RouterProbeOptions): RouterProbe {
  return {
    request: ({ host, path, timeoutMs, upgrade = false, target }) =>
      new Promise((resolve) => {
        let answer: RouterAnswer = {
          status: null,
          release: null,
          deployment: null,
          error: null,
          failure: null,
          timedOut: false,
          routerAway: false,
        }
        const headers = {
          Host: host,
          'User-Agent': 'Quayside-Health/1',
          ...(upgrade ? webSocketHeaders(host) : {}),
          ...(target ? { [privateHeader]: privateRoutes.seal(target) } : {}),
        }
        const end = (failure: string | null, { timedOut = false, routerAway = false } = {}) => {
          clearTimeout(timer)
          resolve({ ...answer, failure, timedOut, routerAway })
          sent?.destroy()
        }
        const timer = setTimeout(() => {
          end(answer.status === null ? `no response within ${timeoutMs} ms` : `the response did not end within ${timeoutMs} ms`, {
            timedOut: true,
          })
        }, timeoutMs)
        let sent: ReturnType<typeof httpRequest> | undefined
        try {
          // fetch cannot be used: it does not resolve *.localhost and drops the Host header.
          sent = httpRequest({ host: address, port: port(), path, headers, agent: false })
        } catch {
          return end('the path is not valid in a request')
        }
        sent.on('error', () => end('the router did not respond', { routerAway: true }))
        sent.on('upgrade', (response, socket) => {
          socket.on('error', () => {})
          socket.destroy()
          answer = { ...answer, ...headOf(response) }
          end(null)
        })
        sent.on('response', (response) => {
          answer = { ...answer, ...headOf(response) }
          const reason = answer.error === null ? undefined : routerReasons[answer.error as AnswerCode]
          if (reason !== undefined) {
            return end(reason, { timedOut: answer.error === 'upstream_timeout', routerAway: routerFaults.has(answer.error!) })
          }
          readToEnd(response, end)
        })
        sent.end()
      }),
  }
}

const webSocketHeaders = (host: string) => ({
  Origin: `http://${host}`,
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
})

/** Reasons to show for responses of the router itself. Codes that are not listed, such as a missing page, count as responses of the app. */
const routerReasons: Partial<Record<AnswerCode, string>> = {
  internal: 'the router failed',
  no_healthy_instance: 'connection refused',
  upstream_failed: 'the connection was closed without a valid HTTP response',
  upstream_timeout: 'no response in time',
  unknown_host: 'the router does not know the service',
  service_stopped: 'the service is stopped',
  service_not_deployed: 'the router does not know the release yet',
  service_switching: 'the router holds the requests of the service',
  router_starting: 'the router is starting',
  router_busy: 'the router is handling too many requests',
}

const routerFaults = new Set<string>(['internal', 'router_busy', 'router_starting'] satisfies AnswerCode[])

function headOf(response: IncomingMessage): Pick<RouterAnswer, 'status' | 'release' | 'deployment' | 'error'> {
  const header = (name: string) => [response.headers[name]].flat()[0] ?? null
  return {
    status: response.statusCode ?? null,
    release: header('x-quayside-release'),
    deployment: header('x-quayside-deployment'),
    error: header('x-quayside-error'),
  }
}

/** Responses longer than this count as complete. */
const enoughBytes = 256 * 1024

/** A streaming response counts as complete once its headers have arrived. Any other response must end. */
function readToEnd(response: IncomingMessage, end: (failure: string | null) => void): void {
  if (/^(text\/event-stream|multipart\/x-mixed-replace|audio\/|video\/)/i.test(response.headers['content-type'] ?? '')) {
    end(null)
    return
  }
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > enoughBytes) end(null)
  })
  response.on('end', () => end(response.complete ? null : half))
  response.on('error', () => end(half))
}

const half = 'the response ended early'
