import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { RouterAnswer, RouterProbe } from '../../domain/deploys/instance/ports.ts'
import type { AnswerCode } from './exchange.ts'
import { privateHeader } from './header.ts'
import type { PrivateRoutes } from './private-route.ts'

export type RouterProbeOptions = { host: string; port: () => number; privateRoutes: PrivateRoutes }

export function createRouterProbe({ host: address, port, privateRoutes }: RouterProbeOptions): RouterProbe {
  return {
    request: ({ host, path, timeoutMs, target }) =>
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
          ...(target ? { [privateHeader]: privateRoutes.seal(target) } : {}),
        }
        const end = (failure: string | null, { timedOut = false, routerAway = false } = {}) => {
          clearTimeout(timer)
          resolve({ ...answer, failure, timedOut, routerAway })
          sent?.destroy()
        }
        const timer = setTimeout(() => {
          end(answer.status === null ? `no answer within ${timeoutMs} ms` : `its answer did not end within ${timeoutMs} ms`, {
            timedOut: true,
          })
        }, timeoutMs)
        let sent: ReturnType<typeof httpRequest> | undefined
        try {
          // fetch can't be used: it resolves no *.localhost and drops a Host header.
          sent = httpRequest({ host: address, port: port(), path, headers, agent: false })
        } catch {
          return end('no request can be made of this path')
        }
        sent.on('error', () => end('the router did not answer', { routerAway: true }))
        sent.on('response', (response) => {
          answer = { ...answer, ...headOf(response) }
          const said = answer.error === null ? undefined : inItsPlace[answer.error as AnswerCode]
          if (said !== undefined) {
            return end(said, { timedOut: answer.error === 'upstream_timeout', routerAway: ofTheRouter.has(answer.error!) })
          }
          readToEnd(response, end)
        })
        sent.end()
      }),
  }
}

/** What the router says in place of an app, as a person reads it. What isn't here (a page that is missing) is an answer. */
const inItsPlace: Partial<Record<AnswerCode, string>> = {
  internal: 'the router failed',
  no_healthy_instance: 'connection refused',
  upstream_failed: 'the connection was closed without a valid HTTP answer',
  upstream_timeout: 'no answer in time',
  unknown_host: 'the router does not know the service',
  service_stopped: 'the service is stopped',
  service_not_deployed: 'the router does not know the release yet',
  router_starting: 'the router is starting',
  router_busy: 'the router is handling too many requests',
}

const ofTheRouter = new Set<string>(['internal', 'router_busy', 'router_starting'] satisfies AnswerCode[])

function headOf(response: IncomingMessage): Pick<RouterAnswer, 'status' | 'release' | 'deployment' | 'error'> {
  const header = (name: string) => [response.headers[name]].flat()[0] ?? null
  return {
    status: response.statusCode ?? null,
    release: header('x-quayside-release'),
    deployment: header('x-quayside-deployment'),
    error: header('x-quayside-error'),
  }
}

/** So much of an answer is enough to see that it comes. */
const enoughBytes = 256 * 1024

/** An answer that is made to go on and on is whole with its head; of any other the end has to come. */
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

const half = 'it ended its answer half way'
