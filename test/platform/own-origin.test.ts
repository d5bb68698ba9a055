/** Which requests count as caused by a page of this server. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { demandOwnPage, isFromOwnPage } from '../../src/platform/own-origin.ts'
import { readSettings } from '../../src/platform/settings.ts'
import type { App } from '../../src/platform/work.ts'

const appWith = (settings: Record<string, string> = {}) => ({ settings: readSettings(settings) }) as App

let port: number
let judge: (request: IncomingMessage) => unknown
const server = createServer((request, response) => response.end(JSON.stringify(judge(request))))
beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

async function judged(app: App, headers: Record<string, string>, judgement = isFromOwnPage): Promise<unknown> {
  judge = (request) => judgement(app, request)
  const answer = once(send({ port, headers }).end(), 'response').then(([response]) => response.toArray())
  return JSON.parse(String(Buffer.concat(await answer)))
}

describe('a request', () => {
  it.each([
    ['with the address of this server as its Origin', { host: 'ship.example:4000', origin: 'http://ship.example:4000' }, true],
    ['with the same address in capitals in Host', { host: 'Ship.Example:4000', origin: 'http://ship.example:4000' }, true],
    ['without Origin that the browser calls same-origin', { 'sec-fetch-site': 'same-origin' }, true],
    ['with another host', { host: 'ship.example', origin: 'http://evil.example' }, false],
    ['with another port', { host: 'ship.example:4000', origin: 'http://ship.example:4080' }, false],
    ['with another scheme', { host: 'ship.example', origin: 'https://ship.example' }, false],
    ['with a host that begins alike', { host: 'ship.example', origin: 'http://ship.example.evil.example' }, false],
    ['with an opaque Origin', { host: 'ship.example', origin: 'null' }, false],
    ['with an empty Origin', { host: 'ship.example', origin: '', 'sec-fetch-site': 'same-origin' }, false],
    ['with a foreign Origin that claims to be same-origin', { origin: 'http://evil.example', 'sec-fetch-site': 'same-origin' }, false],
    ['of another page of the same site', { 'sec-fetch-site': 'same-site' }, false],
    ['of a foreign page', { 'sec-fetch-site': 'cross-site' }, false],
    ['that a person typed', { 'sec-fetch-site': 'none' }, false],
    ['with neither header', {}, false],
    ['whose forwarded host nobody vouches for', { origin: 'http://evil.example', 'x-forwarded-host': 'evil.example' }, false],
  ])('%s: %j', async (_title, headers: Record<string, string>, expected) => {
    expect(await judged(appWith(), headers)).toBe(expected)
  })

  it('counts by PUBLIC_URL and by what a trusted proxy says', async () => {
    const publicly = appWith({ PUBLIC_URL: 'https://ship.example/' })
    expect(await judged(publicly, { host: '127.0.0.1', origin: 'https://ship.example' })).toBe(true)
    expect(await judged(publicly, { host: '127.0.0.1', origin: 'https://other.example' })).toBe(false)
    const proxied = appWith({ TRUST_PROXY: '127.0.0.0/8' })
    const forwarded = { 'x-forwarded-host': 'ship.example', 'x-forwarded-proto': 'https' }
    expect(await judged(proxied, { ...forwarded, origin: 'https://ship.example' })).toBe(true)
    expect(await judged(proxied, { ...forwarded, origin: 'http://ship.example' })).toBe(false)
  })

  it('is refused with the reason and the way out', async () => {
    const refusal = await judged(appWith(), {}, (app, request) => {
      try {
        demandOwnPage(app, request)
        return false
      } catch (error) {
        expect(error).toMatchObject({ kind: 'forbidden', message: expect.stringMatching(/Origin .* PUBLIC_URL.*Authorization header/) })
        return true
      }
    })
    expect(refusal).toBe(true)
  })
})
