import { buildSchema } from 'graphql'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { settleRateLimits } from '../../../src/platform/rate-limit/index.ts'
import { authDialect } from '../../../src/rest/auth/index.ts'
import { type Dialect, restPlugin } from '../../../src/rest/core/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { createTestApp } from '../../support/app.ts'
import { setToMidMinute } from '../../support/database.ts'
import { startRest, type TestServer } from '../support.ts'

/** A contract with the older headers and two kinds of keys. */
const dialect: Dialect = {
  ...platformDialect,
  rateLimits: [
    { name: 'short', perMinute: 20, keyPrefix: 'ak_live_short' },
    { name: 'platform', perMinute: 120 },
  ],
  legacyRateLimitHeaders: true,
}

let rest: TestServer
beforeAll(async () => {
  rest = await startRest([dialect], { RATE_LIMITS: '' })
})
beforeEach(() => setToMidMinute(rest.databaseUrl, rest.app))
afterAll(() => rest.close())

describe('the requests per minute of a dialect', () => {
  it('are those of its contract, with the headers that it has', async () => {
    const { headers } = await rest.call('GET', '/api/projects', { key: rest.acme.key.READ })
    expect(headers).toMatchObject({
      'ratelimit-policy': '"platform";q=120;w=60',
      ratelimit: expect.stringMatching(/^"platform";r=119;t=[1-9]\d?$/),
      'x-ratelimit-limit': '120',
      'x-ratelimit-remaining': '119',
      'x-ratelimit-window': '60',
    })
  })

  it('of a key that is used up at one server are used up at another one, after that has shared its requests once', async () => {
    const app = await createTestApp(rest.databaseUrl, { RATE_LIMITS: '' })
    const other = await createApp({ app, schema: buildSchema('type Query { nothing: Int }'), rest: [restPlugin(app, [dialect])] })
    await setToMidMinute(rest.databaseUrl, rest.app, app)
    const key = rest.acme.key.WRITE
    const ask = async () =>
      (await other.inject({ method: 'GET', url: '/api/projects', headers: { authorization: `Bearer ${key}` } })).statusCode
    for (let n = 0; n < 120; n++) expect((await rest.call('GET', '/api/projects', { key })).status).toBe(200)
    expect((await rest.call('GET', '/api/projects', { key })).status).toBe(429)
    await settleRateLimits(rest.app)
    expect(await ask()).toBe(200)
    await settleRateLimits(app)
    expect(await ask()).toBe(429)
    expect((await rest.call('GET', '/api/projects', { key: rest.other.key.WRITE })).status).toBe(200)
    await other.close()
    await app.close()
  })

  it('cost no statement', async () => {
    const key = rest.acme.key.ADMIN
    await rest.call('GET', '/api/projects', { key })
    await settleRateLimits(rest.app)
    const sent: string[] = []
    const off = rest.app.db.onStatement((text) => void (text.includes('rate_limit') && sent.push(text)))
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => rest.call('GET', '/api/projects', { key })))
    off()
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(119)
    expect(sent.length).toBeLessThanOrEqual(Math.ceil(answers.length / 100))
  })

  it('are spent by requests for unknown paths and with other methods too', async () => {
    const key = rest.other.key.READ
    const ask = (method: string, path: string) => rest.call(method, path, { key })
    expect(await ask('GET', '/api/nope')).toMatchObject({ status: 404, headers: { 'x-ratelimit-remaining': '119' } })
    expect(await ask('DELETE', '/api/projects')).toMatchObject({ status: 405, headers: { 'x-ratelimit-remaining': '118' } })
    for (let n = 2; n < 120; n++) expect((await ask('GET', '/api/nope')).status).toBe(404)
    for (const [method, path] of [
      ['GET', '/api/nope'],
      ['DELETE', '/api/projects'],
      ['GET', '/api/projects'],
    ] as const) {
      const refused = await ask(method, path)
      expect(refused, path).toMatchObject({ status: 429, headers: { 'x-ratelimit-remaining': '0' } })
      expect(Number(refused.headers['retry-after']), path).toBeGreaterThan(0)
    }
    expect((await rest.call('GET', '/api/nope')).status).toBe(404)
  })

  it('at rows that need no caller are those of a client address', async () => {
    const auth = await startRest([authDialect], { RATE_LIMITS: 'auth=3', TRUST_PROXY: '127.0.0.0/8' })
    await setToMidMinute(auth.databaseUrl, auth.app)
    const ask = (address: string) => auth.call('POST', '/api/auth/login', { body: {}, headers: { 'x-forwarded-for': address } })
    const answers = [await ask('192.0.2.1'), await ask('192.0.2.1'), await ask('192.0.2.1'), await ask('192.0.2.1')]
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 429])
    expect(answers[0]!.headers).toMatchObject({ 'ratelimit-policy': '"auth";q=3;w=60', ratelimit: expect.stringMatching(/^"auth";r=2;t=/) })
    const refused = answers[3]!
    expect(refused.body.error).toMatchObject({ code: 'rate_limited', details: { reason: 'rate_limited' } })
    expect(refused.headers['retry-after']).toBe(String(refused.body.error.details.retryAfterSeconds))
    expect((await ask('192.0.2.2')).status).toBe(400)
    await auth.close()
  })
})
