/** Errors before a request exists are answered in the format of the requested API. */
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { authDialect } from '../../src/rest/auth/index.ts'
import { platformDialect } from '../../src/rest/platform/index.ts'
import { startRest, type TestServer } from './support.ts'

let rest: TestServer
let port: number
beforeAll(async () => {
  rest = await startRest([platformDialect, authDialect])
  // How often Node looks for requests that take too long.
  Object.assign(rest.server.server, { connectionsCheckingInterval: 50 })
  await rest.server.listen({ host: '127.0.0.1', port: 0 })
  port = (rest.server.server.address() as AddressInfo).port
})
afterAll(() => rest.close())

type Answer = { status: number; headers: string; body: Record<string, unknown> }

/** Sends pieces one after the other, each when the one before has left, and gives the answer when the server has closed. */
async function send(...pieces: string[]): Promise<Answer> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => {})
  for (const piece of pieces) await new Promise<void>((resolve) => socket.write(piece, 'latin1', () => resolve()))
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  const [headers = '', body = ''] = text.split('\r\n\r\n')
  expect(headers).toMatch(/^x-request-id: [\w-]+$/im)
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(headers)?.[1]), headers, body: JSON.parse(body) }
}

const request = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`
const large = (bytes: number) => `X-Large: ${'x'.repeat(bytes)}\r\n`

const invalid = { code: 'invalid_input', kind: 'invalid', requestId: expect.any(String) }
const doors = [
  ['/graphql', { errors: [{ message: expect.any(String), extensions: invalid }] }],
  ['/graphql?query={nothing}', { errors: [{ message: expect.any(String), extensions: invalid }] }],
  ['/api/projects', { detail: expect.any(String) }],
  ['/api/v1/web-services?limit=1', { detail: expect.any(String) }],
  ['/api/nothing', { detail: expect.any(String) }],
  ['/api/auth/login', { error: expect.objectContaining({ message: expect.any(String) }), detail: expect.any(String) }],
] as const

describe.each(doors)('%s', (path, shape) => {
  it.each([
    ['beyond the limit', 20_000],
    ['far beyond it', 60_000],
    ['so large that they are not read', 100_000],
  ])('answers 431 for headers %s', async (_name, bytes) => {
    const answer = await send(request(path, large(bytes)))
    expect(answer.status).toBe(431)
    expect(answer.body).toMatchObject(shape)
    expect(answer.headers).toMatch(/content-type: application\/json/i)
  })

  it('accepts headers within the limit', async () => {
    expect((await send(request(path, large(15_000)))).status).not.toBe(431)
  })

  it.each([
    ['a header without a name', 'no header\r\n'],
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 2\r\n'],
  ])('answers 400 for %s', async (_name, header) => {
    const answer = await send(request(path, header))
    expect(answer.status).toBe(400)
    expect(answer.body).toEqual(shape)
    expect(answer.headers).toMatch(/connection: close/i)
  })
})

it('an error that belongs to no API can be read by clients of all of them', async () => {
  const answer = await send('nonsense\r\n\r\n')
  expect(answer.status).toBe(400)
  expect(answer.body).toEqual({
    detail: expect.any(String),
    error: expect.objectContaining({ message: expect.any(String) }),
    errors: [{ message: expect.any(String), extensions: invalid }],
  })
})

it('a body that does not arrive answers 408 in the form of its API', async () => {
  rest.server.server.requestTimeout = 300
  rest.server.server.headersTimeout = 200
  const key = rest.acme.key.ADMIN
  for (const [path, shape] of [doors[0], doors[2]]) {
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{`
    const answer = await send(head)
    expect(answer.status).toBe(408)
    expect(answer.body).toEqual(shape)
  }
  const slow = await send('GET /api/projects HTTP/1.1\r\nHost: x\r\n')
  expect(slow.status).toBe(408)
})
