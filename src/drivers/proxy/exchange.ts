import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Route } from '../../domain/deploys/instance/ports.ts'
import { releaseHeaders } from './header.ts'

/** A request of a client and its response. */
export type Exchange = {
  request: IncomingMessage
  response: ServerResponse
  /** Host header as sent. */
  host: string
  /** Path with its query. */
  path: string
  /** Set if the client requests an upgrade. `head` are bytes that it has already sent. */
  upgrade: { socket: Duplex; head: Buffer } | null
  /** Aborted when the client disconnects or the response is complete. */
  signal: AbortSignal
  /** Must be called when an upgraded connection has ended. Any other exchange ends with its response. */
  finish: () => void
  /** Until when it may wait for a service whose requests are held, on the monotonic clock. Null if it has not waited. */
  heldUntil: number | null
  /** For the record that `onRequest` gets. */
  outcome: { route: Route | null; instanceId: string | null; error: AnswerCode | null; upgraded: boolean }
}

const answers = {
  bad_request: { status: 400, title: 'Bad request', text: 'The request is not valid.' },
  unknown_host: { status: 404, title: 'Nothing here', text: 'No service has this address.' },
  not_found: { status: 404, title: 'Not found', text: 'This page does not exist.' },
  method_not_allowed: { status: 405, title: 'Method not allowed', text: 'This is a static site. It supports only GET and HEAD.' },
  request_timeout: { status: 408, title: 'Request timeout', text: 'The request was not sent in time.' },
  precondition_failed: { status: 412, title: 'Precondition failed', text: 'The file has changed.' },
  misdirected: { status: 421, title: 'Misdirected request', text: 'This connection was opened for another host.' },
  uri_too_long: { status: 414, title: 'Address too long', text: 'The address of this request is too long.' },
  range_not_satisfiable: { status: 416, title: 'Range not satisfiable', text: 'The file does not have the requested range.' },
  internal: { status: 500, title: 'Internal error', text: 'The router failed to answer this request.' },
  no_healthy_instance: { status: 502, title: 'No healthy instance', text: 'No instance of this service is responding at the moment.' },
  upstream_failed: { status: 502, title: 'Service failed', text: 'The service closed the connection before it responded.' },
  service_stopped: { status: 503, title: 'Service stopped', text: 'This service is stopped.' },
  service_not_deployed: { status: 503, title: 'Not deployed', text: 'This service has not been deployed yet.' },
  router_starting: {
    status: 503,
    title: 'Starting',
    text: 'The router is starting and does not know this address yet. Retry in a moment.',
  },
  service_switching: {
    status: 503,
    title: 'Service switching',
    text: 'This service is being replaced by its next release. Retry in a moment.',
  },
  router_busy: { status: 503, title: 'Too many requests', text: 'The router is handling too many requests.' },
  challenge_unavailable: {
    status: 503,
    title: 'Not available',
    text: 'The router cannot look up answers to challenges of certificate authorities at the moment.',
  },
  upstream_timeout: { status: 504, title: 'Service timeout', text: 'The service did not answer in time.' },
} as const

/** Value of `X-Quayside-Error` in responses that the router sends in place of a service. */
export type AnswerCode = keyof typeof answers

/** Responds in place of the service. If a response has already begun, closes the connection instead. */
export function answer(
  { request, response, outcome }: Exchange,
  code: AnswerCode,
  headers: Record<string, string> = {},
  /** Replaces the standard text of the code. */
  ownText?: string,
): void {
  outcome.error = code
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { status, title, text: usualText } = answers[code]
  const text = ownText ?? usualText
  const html = request.headers.accept?.includes('text/html') === true
  const page = html
    ? `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><h1>${title}</h1><p>${text}</p><p><code>${code}</code></p>\n`
    : `${text} (${code})\n`
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  const release = releaseHeaders(outcome.route)
  for (let i = 0; i + 1 < release.length; i += 2) response.setHeader(release[i]!, release[i + 1]!)
  // An earlier attempt may have set a message that cannot be written.
  response.statusMessage = ''
  response.writeHead(status, {
    'Content-Type': html ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(page),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'X-Quayside-Error': code,
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : page)
  // Reads the rest of the body; otherwise the connection never reaches its next request.
  request.unpipe()
  request.resume()
}
