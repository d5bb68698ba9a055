import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Route } from '../../domain/deploys/instance/ports.ts'
import { pairs } from './attempt.ts'
import type { Exchange } from './exchange.ts'
import { responseHeaders } from './header.ts'

/** Upgraded connections (WebSocket), each a pair of joined sockets. */
export type Tunnels = {
  open(exchange: Exchange, route: Route, upstream: { response: IncomingMessage; socket: Duplex; head: Buffer }, release: () => void): void
  count(): number
  cut(): void
}

export function createTunnels(): Tunnels {
  const clients = new Set<Duplex>()

  return {
    open(exchange, route, { response, socket: upstream, head }, release) {
      const client = exchange.upgrade?.socket
      if (client === undefined || client.destroyed) {
        upstream.destroy()
        release()
        return
      }
      exchange.response.detachSocket(exchange.request.socket)
      clients.add(client)
      const status = response.statusCode ?? 101
      const headers = [...responseHeaders(response, route, { chunkable: false }), 'Connection', 'Upgrade']
      headers.push('Upgrade', response.headers.upgrade ?? exchange.request.headers.upgrade ?? 'websocket')
      const lines = pairs(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      client.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`, 'latin1')
      if (head.length > 0) client.write(head)
      if (exchange.upgrade !== null && exchange.upgrade.head.length > 0) upstream.write(exchange.upgrade.head)

      let ended = false
      const end = () => {
        if (ended) return
        ended = true
        clients.delete(client)
        client.destroy()
        upstream.destroy()
        release()
        exchange.finish()
      }
      join(client, upstream, end)
      join(upstream, client, end)
    },
    count: () => clients.size,
    cut() {
      for (const client of [...clients]) client.destroy()
    },
  }
}

/** When one side closes, the data that it has sent still reaches the other side before that is closed, too. */
function join(from: Duplex, to: Duplex, end: () => void): void {
  from.pipe(to)
  from.on('error', () => from.destroy())
  from.on('close', () => {
    if (to.destroyed || from.errored) end()
    else to.end(end)
  })
}
