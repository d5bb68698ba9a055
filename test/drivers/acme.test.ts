/** The driver for ACME against servers that misbehave. test/domain/deploys/certificate-pebble.test.ts runs it against a real authority. */
import { generateKeyPairSync } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeAll, expect, it } from 'vitest'
import type { IssueResult } from '../../src/domain/deploys/certificate/ports.ts'
import type { OutgoingHttp } from '../../src/domain/webhooks/endpoint/ports.ts'
import { createAcme } from '../../src/drivers/acme/index.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { createAcmeHttp } from '../support/acme-http.ts'
import { freePort } from '../support/free-port.ts'
import { createStack } from './proxy-support.ts'

const stack = createStack()
let http: OutgoingHttp
let key: string
beforeAll(async () => {
  http = await createAcmeHttp()
  key = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey
  return () => http.close()
})
afterEach(() => stack.unwind())

type Reply = { status?: number; headers?: Record<string, string>; body?: unknown }

/** An ACME server whose answers to POSTs are scripted by path; `order` is what becomes of the order. */
async function authority(replies: Record<string, Reply | 'hang'>): Promise<string> {
  let url = ''
  const listener: RequestListener = (request, response) => {
    const path = request.url ?? ''
    request.resume()
    const directory = { newNonce: `${url}/nonce`, newAccount: `${url}/account`, newOrder: `${url}/order` }
    const usual: Record<string, Reply> = {
      '/dir': { body: directory },
      '/nonce': { status: 204 },
      '/account': { status: 201, headers: { location: `${url}/account/1` }, body: { status: 'valid' } },
      '/account/1': { body: { status: 'valid' } },
    }
    const reply = replies[path] ?? usual[path] ?? { status: 404, body: problem('malformed', 'no such thing') }
    if (reply === 'hang') return
    const { status = 200, headers = {}, body = '' } = reply
    const text = (typeof body === 'string' ? body : JSON.stringify(body)).replaceAll('URL', url)
    const own = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.replaceAll('URL', url)]))
    response.writeHead(status, { 'replay-nonce': 'bm9uY2U', ...own }).end(text)
  }
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stack.defer(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return `${url}/dir`
}

const problem = (type: string, detail: string) => ({ type: `urn:ietf:params:acme:error:${type}`, detail })
const refusal = (status: number, type: string, headers: Record<string, string> = {}): Reply => ({
  ...{ status, headers, body: problem(type, `The detail of ${type}`) },
})
const pending = { status: 'pending', identifiers: [], authorizations: ['URL/authz'], finalize: 'URL/finalize' }
const opened: Reply = { status: 201, headers: { location: 'URL/order/1' }, body: pending }

function issueAt(
  directoryUrl: string,
  { timeoutMs = 20_000, signal = new AbortController().signal, orderUrl = null as string | null, by = http } = {},
) {
  const request = { accountKey: key, domain: 'www.example.com', privateKey: key, orderUrl, timeoutMs }
  return createAcme({ directoryUrl, email: 'ops@example.com', http: by }).issue(
    { ...request, onOrder: async () => {}, onChallenge: async () => {} },
    signal,
  )
}
const failed = (result: IssueResult) => {
  if (result.type !== 'failed') throw new Error('issued')
  return [result.failure, result.message, result.retryAfterMs] as const
}

it.each<[string, Record<string, Reply>, string, RegExp, number | null]>([
  [
    'a rate limit',
    { '/order': refusal(429, 'rateLimited', { 'retry-after': '120' }) },
    'rate_limited',
    /does not issue more.*rateLimited/,
    120_000,
  ],
  ['a rate limit of a server before it', { '/order': { status: 429, body: '<html>' } }, 'rate_limited', /status 429/, null],
  ['a refused name', { '/order': refusal(400, 'rejectedIdentifier') }, 'refused', /refused to issue.*rejectedIdentifier/, null],
  ['a refused account', { '/account': refusal(403, 'externalAccountRequired') }, 'account', /does not accept the account/, null],
  [
    'maintenance',
    { '/dir': { status: 503, headers: { 'retry-after': '30' }, body: 'later' } },
    'unreachable',
    /failure of its own/,
    30_000,
  ],
  ['a directory that is no JSON', { '/dir': { body: 'garbage' } }, 'protocol', /not valid/, null],
  ['an order without a location', { '/order': { status: 201, body: pending } }, 'protocol', /not valid/, null],
  [
    'a failed challenge',
    {
      '/order': opened,
      '/authz': {
        body: {
          status: 'invalid',
          challenges: [{ type: 'http-01', status: 'invalid', error: problem('connection', '192.0.2.1: refused') }],
        },
      },
    },
    'challenge',
    /could not verify the domain: 192.0.2.1: refused/,
    null,
  ],
  [
    'a name without HTTP-01',
    { '/order': opened, '/authz': { body: { status: 'pending', challenges: [{ type: 'dns-01', status: 'pending' }] } } },
    'refused',
    /no HTTP-01 challenge/,
    null,
  ],
  [
    'an order that is invalid',
    {
      '/order': opened,
      '/authz': { body: { status: 'valid' } },
      '/order/1': { body: { ...pending, status: 'invalid', error: problem('caa', 'CAA forbids it') } },
    },
    'refused',
    /CAA forbids it/,
    null,
  ],
])('reports %s', async (_title, replies, failure, text, retryAfterMs) => {
  const result = failed(await issueAt(await authority(replies)))
  expect(result).toEqual([failure, expect.stringMatching(text), retryAfterMs])
})

it('reports an authority that is down, that hangs, and that is not allowed', async () => {
  expect(failed(await issueAt(`http://127.0.0.1:${await freePort()}/dir`))).toEqual([
    'unreachable',
    expect.stringContaining('could not be reached'),
    null,
  ])
  const hanging = await authority({ '/order': 'hang' })
  expect(failed(await issueAt(hanging, { timeoutMs: 500 }))).toEqual(['unreachable', expect.stringContaining('within 500 ms'), null])
  const guarded = createHttpOutgoing({ guard: createEgressGuard({ allow: [] }) })
  stack.defer(() => guarded.close())
  expect(failed(await issueAt(hanging, { by: guarded }))).toEqual(['unreachable', expect.stringContaining('EGRESS_ALLOW'), null])
})

it('opens another order if the authority no longer has the one to continue', async () => {
  const directory = await authority({ '/order': refusal(429, 'rateLimited') })
  expect(failed(await issueAt(directory, { orderUrl: directory.replace('/dir', '/order/gone') }))[0]).toBe('rate_limited')
})

it('rejects with the reason of the signal while the authority hangs', async () => {
  const stopping = new AbortController()
  const issuing = issueAt(await authority({ '/dir': 'hang' }), { signal: stopping.signal })
  stopping.abort(new Error('stopping'))
  await expect(issuing).rejects.toThrow('stopping')
})
