/** The two ports: HTTP, and with workers the evented one for web sockets, which opens later. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { isInitialised, readUsers } from './database.mjs'
import { log } from './log.mjs'
import { answerRpc } from './rpc.mjs'

const webSockets = new Set()

/** Opens the ports, and returns what closes them. */
export async function listen(server) {
  const { options } = server
  const host = options.http_interface || undefined
  const main = createServer((request, response) => answer(server, request, response).catch((error) => failed(request, response, error)))
  const evented = createServer((_, response) => page(response, 404, 'Not Found'))
  main.on('upgrade', (request, socket) => (options.workers > 0 ? refuse(socket) : accept(request, socket)))
  evented.on('upgrade', accept)
  await open(main, options.http_port, host)
  log.info('odoo.service.server', `HTTP service (werkzeug) running on ${host ?? '0.0.0.0'}:${options.http_port}`)
  const later = new AbortController()
  if (options.workers > 0)
    pause(Number(process.env.STAND_IN_EVENTED_DELAY_MS ?? 300), undefined, { signal: later.signal })
      .then(() => open(evented, options.gevent_port ?? options.longpolling_port, host))
      .then(() => log.info('odoo.service.server', `Evented Service (longpolling) running on ${host ?? '0.0.0.0'}:${options.gevent_port}`))
      .catch((error) => {
        if (!later.signal.aborted) log.error('odoo.service.server', String(error))
      })
  return () => {
    later.abort()
    for (const socket of webSockets) socket.destroy()
    for (const one of [main, evented]) {
      one.close()
      one.closeAllConnections()
    }
  }
}

const open = (server, port, host) =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })

async function answer(server, request, response) {
  const url = new URL(request.url, 'http://localhost')
  let text = ''
  for await (const part of request) text += part
  if (url.pathname === '/web/health') return json(response, 200, { status: 'pass' })
  if (url.pathname === '/jsonrpc') return json(response, 200, await answerRpc(server, JSON.parse(text)))
  if (url.pathname === '/web/database/manager') return page(response, 200, 'Database manager')
  if (url.pathname === '/web/login') {
    if (!(await isInitialised(server.db))) throw new Error('the database is not initialized')
    await readUsers(server.db, server.modules, 'true', [])
    return page(response, 200, 'Log in')
  }
  if (url.pathname === '/' || url.pathname === '/web') return response.writeHead(303, { location: '/web/login' }).end()
  return page(response, 404, 'Not Found')
}

function failed({ url }, response, error) {
  log.error('odoo.http', `Exception during request handling of ${url}: ${error.message}`)
  page(response, 500, 'Internal Server Error')
}

const json = (response, status, body) =>
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body))
const page = (response, status, title) =>
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }).end(`<!doctype html><title>${title}</title>`)

function refuse(socket) {
  log.error('odoo.http', "Couldn't bind the websocket. Is the connection opened on the evented port (8072)?")
  socket.end('HTTP/1.1 500 INTERNAL SERVER ERROR\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
}

function accept(request, socket) {
  socket.on('error', () => {})
  if (!/^\/websocket(\?|$)/.test(request.url)) return socket.end('HTTP/1.1 404 NOT FOUND\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
  const key = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${key}\r\n\r\n`)
  webSockets.add(socket)
  // It closes with the client.
  socket.on('end', () => socket.end())
  socket.resume()
  socket.on('close', () => webSockets.delete(socket))
}
