import type { IncomingMessage } from 'node:http'
import type { Route, Upstreams } from '../../domain/deploys/instance/ports.ts'
import type { Trust } from '../../platform/forwarded.ts'
import { attempt, pairs } from './attempt.ts'
import { answer, type Exchange } from './exchange.ts'
import { hasBody, requestHeaders, responseHeaders } from './header.ts'
import { ruleFor } from './path-rule.ts'
import type { Pool } from './pool.ts'
import type { Table } from './table.ts'
import type { Tunnels } from './tunnel.ts'

export type ForwardOptions = {
  table: Pick<Table, 'find' | 'changed'>
  pool: Pool
  tunnels: Tunnels
  upstreams: Upstreams
  trust: Trust
  connectTimeoutMs: number
  upstreamTimeoutMs: number
  retryMs: number
  /** Waits until requests of the host are no longer held, then serves the request. */
  hold(exchange: Exchange, host: string): Promise<void>
}

type InstancesRoute = Route & { target: { type: 'instances' } }

const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/**
 * Forwards a request to an instance and its response to the client. A request that no instance has received is retried until one accepts
 * it, for at most `retryMs` after all have refused. A request that an instance may have received is sent again only if it is repeatable
 * and has no body.
 *
 * A request that cannot be repeated uses a new connection: the app may close an idle one at that very moment, and it would be unknown
 * whether it had read the request.
 */
export async function forward(exchange: Exchange, first: InstancesRoute, host: string, options: ForwardOptions): Promise<void> {
  const { request, signal, outcome } = exchange
  const { table, pool, upstreams } = options
  const body = hasBody(request)
  const repeat = !body && repeatable.has(request.method ?? '')
  const refused = new Set<string>()
  let route = first
  let giveUpAt: number | null = null
  let resets = 0
  let ownConnection = !repeat || exchange.upgrade !== null

  while (!signal.aborted) {
    const rule = ruleFor(route.rules, exchange.path)
    if (rule === 'not_found') return answer(exchange, 'not_found')
    const addressOf = (id: string) => (rule === 'second_port' ? upstreams.addressOf(id, 'second') : null) ?? upstreams.addressOf(id)
    const candidates = route.target.instanceIds.filter((id) => !refused.has(id) && addressOf(id) !== null)
    const instanceId = pool.leastLoaded(candidates)
    const address = instanceId === undefined ? null : addressOf(instanceId)

    if (instanceId === undefined || address === null) {
      // Traffic may be switching: the next table may contain an instance that responds.
      giveUpAt ??= performance.now() + options.retryMs
      const leftMs = giveUpAt - performance.now()
      if (route.target.instanceIds.length === 0 || leftMs <= 0)
        return answer(exchange, resets > 0 ? 'upstream_failed' : 'no_healthy_instance')
      await table.changed(leftMs, signal)
      refused.clear()
    } else {
      outcome.instanceId = instanceId
      const release = pool.hold(instanceId)
      const result = await attempt(
        {
          address,
          agent: ownConnection ? false : pool.agent(instanceId),
          method: request.method ?? 'GET',
          path: exchange.path,
          headers: requestHeaders(request, {
            host: exchange.host,
            trust: options.trust,
            upgrade: exchange.upgrade !== null,
          }),
          body: body ? request : null,
          connectTimeoutMs: options.connectTimeoutMs,
          idleTimeoutMs: options.upstreamTimeoutMs,
          signal,
          onContinue: () => {
            if (request.headers.expect !== undefined && !exchange.response.headersSent) exchange.response.writeContinue()
          },
        },
        release,
      )
      if (result.type === 'answered') return relay(exchange, route, result.response)
      if (result.type === 'upgraded') {
        if (exchange.upgrade === null) {
          result.socket.destroy()
          return answer(exchange, 'upstream_failed')
        }
        outcome.upgraded = true
        return options.tunnels.open(exchange, route, result, pool.hold(instanceId))
      }
      if (signal.aborted) return
      if (result.sent && result.timedOut !== 'no') {
        return answer(exchange, result.timedOut === 'client' ? 'request_timeout' : 'upstream_timeout')
      }
      if (result.sent) {
        if (!repeat) return answer(exchange, 'upstream_failed')
        if (result.reused) {
          ownConnection = true
        } else {
          // Retried once on another instance, not on all of them: the request itself may be what crashes an instance.
          resets += 1
          if (resets > 1) return answer(exchange, 'upstream_failed')
          refused.add(instanceId)
        }
      } else {
        refused.add(instanceId)
      }
    }

    const current = table.find(host)
    outcome.route = current ?? route
    if (current === undefined) return answer(exchange, 'unknown_host')
    if (current.target.type === 'held') return options.hold(exchange, host)
    if (current.target.type === 'unavailable') return answer(exchange, current.target.error)
    // The service has just become a static site. The client's next request is served from it.
    if (current.target.type === 'static') return answer(exchange, 'no_healthy_instance')
    route = { ...current, target: current.target }
  }
}

/** Sends a response to the client: headers immediately (for server-sent events), body with back-pressure, trailers at the end. */
function relay(exchange: Exchange, route: Route, from: IncomingMessage): void {
  const { request, response: to } = exchange
  if (to.destroyed) {
    from.destroy()
    return
  }
  try {
    const headers = responseHeaders(from, route, { chunkable: request.httpVersionMinor > 0 })
    to.writeHead(from.statusCode ?? 502, from.statusMessage ?? '', headers)
    to.flushHeaders()
  } catch {
    // Node reads some status lines and headers that it refuses to write.
    from.destroy()
    answer(exchange, 'upstream_failed')
    return
  }
  from.once('error', () => {
    if (!exchange.signal.aborted) exchange.outcome.error = 'upstream_failed'
    to.destroy()
  })
  from.once('end', () => {
    const trailers = pairs(from.rawTrailers)
    if (trailers.length > 0) to.addTrailers(trailers)
    to.end()
    if (!request.complete) request.resume()
  })
  from.pipe(to, { end: false })
}
