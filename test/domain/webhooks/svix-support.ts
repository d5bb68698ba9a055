import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as readText } from 'node:stream/consumers'

type ReceivedCall = { method: string; path: string; body: Record<string, unknown>; text: string; headers: IncomingMessage['headers'] }
type Endpoint = { url: string; secret: string; headers: Record<string, string>; description: string }

/** A fake Svix server with the required part of its published API: applications, endpoints and messages by uid, and 409 for a known eventId. */
export async function startSvix() {
  const asked: ReceivedCall[] = []
  const applications = new Map<string, Map<string, Endpoint>>()
  const messages = new Map<string, Set<string>>()
  const state = { down: false, refuse: 0, refuseEndpoints: 0, loseAnswers: 0, detail: 'payload is not good', proxyAnswer: 0 }

  const answer = (response: ServerResponse, status: number, body?: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(body === undefined ? undefined : JSON.stringify(body))
  const missing = (response: ServerResponse) => answer(response, 404, { code: 'not_found', detail: 'Entity not found' })

  const handle = (request: ReceivedCall, response: ServerResponse) => {
    const [, , , first = '', app = '', second = '', endpoint = '', last = ''] = request.path.split('/')
    const now = new Date().toISOString()
    if (first === 'event-type') return answer(response, 200, { name: app, description: '', createdAt: now, updatedAt: now })
    const endpoints = applications.get(app)
    if (state.refuseEndpoints > 0 && second === 'endpoint' && request.method === 'POST') {
      return answer(response, state.refuseEndpoints, { code: 'validation', detail: 'url is not good' })
    }
    if (request.method === 'POST' && app === '') {
      const uid = String(request.body.uid)
      const made = !applications.has(uid)
      if (made) applications.set(uid, new Map())
      return answer(response, made ? 201 : 200, {
        id: `app_${uid}`,
        uid,
        name: request.body.name,
        createdAt: now,
        updatedAt: now,
        metadata: {},
      })
    }
    if (!endpoints) return missing(response)
    if (second === '' && request.method === 'DELETE') {
      applications.delete(app)
      return answer(response, 204)
    }
    if (second === 'msg') {
      const known = messages.get(app) ?? new Set()
      messages.set(app, known)
      const eventId = String(request.body.eventId)
      if (state.refuse > 0) return answer(response, state.refuse, { code: 'validation', detail: state.detail })
      if (known.has(eventId)) return answer(response, 409, { code: 'conflict', detail: 'A message with this eventId already exists' })
      known.add(eventId)
      if (state.loseAnswers > 0) {
        state.loseAnswers--
        return response.destroy()
      }
      return answer(response, 202, { id: 'msg_1', eventId, eventType: request.body.eventType, payload: {}, timestamp: now })
    }
    const found = endpoints.get(endpoint)
    const out = (each: Endpoint) => ({ id: 'ep_1', uid: endpoint, version: 1, createdAt: now, updatedAt: now, metadata: {}, ...each })
    if (request.method === 'POST' && endpoint === '') {
      // The open-source server ignores `headers` here.
      const made = {
        url: String(request.body.url),
        secret: String(request.body.secret),
        description: String(request.body.description),
        headers: {},
      }
      endpoints.set(String(request.body.uid), made)
      return answer(response, 201, out(made))
    }
    if (!found) return missing(response)
    if (last === 'secret' && request.method === 'GET') return answer(response, 200, { key: found.secret })
    if (last === 'secret') {
      found.secret = String(request.body.key)
      return answer(response, 204)
    }
    if (last === 'headers') {
      found.headers = request.body.headers as Record<string, string>
      return answer(response, 204)
    }
    found.url = String(request.body.url)
    return answer(response, 200, out(found))
  }

  const server = createServer(async (incoming, response) => {
    const path = decodeURIComponent((incoming.url ?? '').split('?')[0]!)
    const hasBody = incoming.method === 'POST' || incoming.method === 'PUT' || incoming.method === 'PATCH'
    const text = hasBody ? await readText(incoming).catch(() => '') : ''
    const body = JSON.parse(text || '{}') as Record<string, unknown>
    if (state.down) return void response.destroy()
    if (state.proxyAnswer > 0)
      return void response.writeHead(state.proxyAnswer, { 'content-type': 'text/html' }).end('<h1>No such site</h1>')
    const request = { method: incoming.method ?? '', path, body, text, headers: incoming.headers }
    if (incoming.headers.authorization !== 'Bearer test-token')
      return void answer(response, 401, { code: 'authentication_failed', detail: 'no' })
    asked.push(request)
    handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    applications,
    messages,
    state,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export type SvixServer = Awaited<ReturnType<typeof startSvix>>
