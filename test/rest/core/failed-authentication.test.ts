import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { generateKey } from '../../../src/domain/access/api-key/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
let addresses = 0
beforeAll(async () => {
  rest = await startRest([platformDialect], { RATE_LIMITS: 'platform=1000000,authentication=20', TRUST_PROXY: '127.0.0.0/8' })
  // Time stands still, so that the limit is not refilled.
  rest.app.clock = { now: () => new Date(), elapsedMs: () => 0 }
})
afterAll(() => rest.close())

const newAddress = () => `192.0.2.${++addresses}`
const ask = (address: string, key?: string) => rest.call('GET', '/api/projects', { key, headers: { 'x-forwarded-for': address } })
const badKey = () => generateKey('ak_live_')

/** Look-ups of keys in the database. */
function lookups(): string[] {
  const sent: string[] = []
  onTestFinished(rest.app.db.onStatement((text) => void (text.includes('api_key') && sent.push(text))))
  return sent
}

describe('a flood of requests with invalid keys', () => {
  it('is answered 429 with Retry-After and costs no look-up, for its address only', async () => {
    const address = newAddress()
    for (let n = 0; n < 20; n++) expect((await ask(address, badKey())).status).toBe(401)
    const sent = lookups()
    const refused = await ask(address, badKey())
    expect(refused).toMatchObject({ status: 429, body: { detail: expect.stringContaining('from one address') } })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(refused.headers['www-authenticate']).toBeUndefined()
    await Promise.all(Array.from({ length: 200 }, () => ask(address, badKey())))
    expect(sent).toEqual([])
    expect((await ask(newAddress(), badKey())).status).toBe(401)
    expect((await ask(newAddress(), rest.acme.key.READ)).status).toBe(200)
  })

  it('at GraphQL, it is answered the same', async () => {
    const address = newAddress()
    const post = () =>
      rest.server.inject({
        method: 'POST',
        url: '/graphql',
        headers: { authorization: `Bearer ${badKey()}`, 'content-type': 'application/json', 'x-forwarded-for': address },
        payload: '{"query":"{ nothing }"}',
      })
    for (let n = 0; n < 20; n++) expect((await post()).statusCode).toBe(401)
    const refused = await post()
    expect(refused.statusCode).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(refused.json().errors[0].extensions).toMatchObject({
      code: 'rate_limited',
      details: { limit: 'authentication', maximum: 20, retryAfterSeconds: Number(refused.headers['retry-after']) },
    })
  })

  it('does not affect a key that was valid before, nor requests without a key', async () => {
    const address = newAddress()
    const key = rest.other.key.WRITE
    expect((await ask(address, key)).status).toBe(200)
    for (let n = 0; n < 25; n++) await ask(address, badKey())
    // It is looked up again.
    rest.app.wake.notify('credentials')
    for (let n = 0; n < 5; n++) expect((await ask(address, key)).status).toBe(200)
    expect((await ask(address)).status).toBe(401)
  })

  it('with one key leaves half of the limit to new keys behind the same address', async () => {
    const address = newAddress()
    const repeated = badKey()
    const statuses = new Set<number>()
    for (let n = 0; n < 60; n++) statuses.add((await ask(address, repeated)).status)
    expect(statuses).toEqual(new Set([401, 429]))
    expect((await ask(address, rest.other.key.ADMIN)).status).toBe(200)
  })
})
