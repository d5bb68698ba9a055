/** What people see at /bridge, with the page's own modules in a DOM, against a real server and the stand-in of Odoo. */
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { schema } from '../../src/graphql/schema.ts'
import type { SystemRole } from '../../src/platform/access.ts'
import { authDialect } from '../../src/rest/auth/index.ts'
import { bridgeDialect } from '../../src/rest/bridge/index.ts'
import { restPlugin } from '../../src/rest/core/index.ts'
import { pagesPlugin } from '../../src/rest/page/index.ts'
import { useOdoo } from '../domain/odoo/support.ts'
import { password, withPassword } from '../support/person.ts'
import { createTenant } from '../support/tenant.ts'
import { createVisitor, type Page, type Visitor } from './page-support.ts'

const used = useOdoo()
let server: FastifyInstance
let url: string

beforeAll(async () => {
  const { app } = used
  server = await createApp({ app, schema, rest: [restPlugin(app, [authDialect, bridgeDialect]), pagesPlugin(app)] })
  await server.listen({ port: 0, host: '127.0.0.1' })
  url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
  // The module that draws is only where the server puts it. Everything else works without it.
  vi.spyOn(console, 'warn').mockImplementation(() => {})
})
afterAll(async () => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  await server?.close()
})

/** A member of a new organization, signed in. */
async function visitor(name: string, role: SystemRole = 'OWNER'): Promise<Visitor> {
  const { owner } = await createTenant(used.app, name, role)
  const email = await withPassword(used.app, owner)
  const visitor = createVisitor(url, '/bridge')
  const body = JSON.stringify({ email, password })
  expect((await visitor.send('/api/auth/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status).toBe(
    200,
  )
  return visitor
}

async function connect(page: Page): Promise<void> {
  await page.shows('Connect a database of your Odoo server first.')
  page.click('Add an Odoo account')
  page.submit({ ...used.settings(), transport: 'JSON_RPC' })
  await page.shows('ERP is connected.')
}

describe('the page', () => {
  it('has the texts of the document, with the address of this server', async () => {
    const text = (await (await visitor('texts')).open()).text()
    for (const part of [
      'API Access Keys Create and revoke keys to access Odoo bridge endpoint securely.',
      'Key Name API Key Prefix Created At Expires At Status Actions',
      'API Integration Guide Use your generated keys to query the Odoo Bridge securely from client apps.',
      `1. Base Endpoint Configuration POST ${url}/call Required Headers: Content-Type: application/json X-API-KEY: YOUR_GENERATED_API_KEY`,
      "2. Request Body Structure The endpoint takes standard JSON mapping the parameters to Odoo's execute_kw method:",
      '"args": [ [["date_order", ">=", "2026-05-01 00:00:00"]] ], // optional',
      '3. Integration Code Snippets',
      `fetch('${url}/call', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-API-KEY': 'YOUR_API_KEY' }`,
      `function apiExecuteGateway(model, method, args) { var url = "${url}/call";`,
      `curl -X POST ${url}/call \\ -H "Content-Type: application/json"`,
      'Odoo Bridge Speed Test Run latency benchmarks and track performance history against Odoo.',
      'Light Test Performs a quick Odoo version ping to measure connection handshake overhead. Last Latency: -- ms',
      'Heavy Test Authenticates and queries 25 Sales Orders with multiple fields from Odoo database. Last Latency: -- ms',
      'Benchmark History',
      'Test Type Latency Status Tested At Details / Errors',
    ]) {
      expect(text).toContain(part)
    }
  })
  it('loads scripts and styles of this server only, nothing inline, and the plot with its license', async () => {
    const response = await (await visitor('assets')).send('/bridge')
    expect(response.headers.get('content-security-policy')).toContain(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    )
    expect(response.headers.get('cache-control')).toBe('no-cache')
    const html = await response.text()
    expect(html.replaceAll(/<script type="module" src="[^"]+"><\/script>/g, '')).not.toMatch(/<script|<style|\sstyle=|\son\w+=|\{\{/)
    const links = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link]) => link!)
    expect(links.filter((link) => !link.startsWith('/'))).toEqual([])
    const assets = links.filter((link) => link.startsWith('/page/'))
    const plot = assets[0]!.replace(/[^/]+\/[^/]+$/, 'vendor/uplot.js')
    for (const path of [...assets, plot]) expect([path, (await fetch(url + path)).status]).toEqual([path, 200])
    expect(await (await fetch(url + assets.find((path) => path.endsWith('uplot-license.txt')))).text()).toContain('MIT License')
  })
  it('escapes the address that it was asked at', async () => {
    const someone = await visitor('escaped')
    const headers = { host: 'a"><script>b', cookie: `access_token=${someone.cookie('access_token')}` }
    const { body } = await server.inject({ url: '/bridge', headers })
    expect(body).toContain('http://a&quot;&gt;&lt;script&gt;b/call')
    expect(body).not.toContain('<script>b')
  })
})

describe('without a login', () => {
  it('the page leads to /login, and from there back', async () => {
    const someone = await visitor('bearer')
    const authorization = `Bearer ${someone.cookie('access_token')}`
    for (const headers of [{}, { cookie: 'access_token=nonsense' }, { authorization }]) {
      const { statusCode, headers: answered } = await server.inject({ url: '/bridge', headers })
      expect([statusCode, answered.location]).toEqual([302, '/login?return=%2Fbridge'])
    }
  })
  it('a session that has ended leads there too, and an access token that has expired is refreshed', async () => {
    const someone = await visitor('expiring')
    const page = await someone.open()
    await connect(page)
    someone.forget('access_token')
    page.click('Run Light Test')
    await page.shows('The light test took')
    expect(someone.sent).toContain('POST /api/auth/refresh 200')
    someone.forget('access_token')
    someone.forget('refresh_token')
    page.click('Run Light Test')
    await vi.waitFor(() => expect(someone.left).toEqual(['/login?return=%2Fbridge']), 30_000)
  })
})

describe('the first Odoo account', () => {
  it('is needed for everything else, and added by a form that says what is wrong', async () => {
    const page = await (await visitor('first-account')).open()
    await page.shows('Connect a database of your Odoo server first.')
    await page.shows('No keys yet.')
    expect(['Create API key', 'Run Light Test', 'Run Heavy Test'].map(page.isEnabled)).toEqual([false, false, false])
    page.click('Add an Odoo account')
    page.submit({ ...used.settings(), secret: 'wrong', transport: 'JSON_RPC' })
    await page.shows('Odoo does not accept the login and secret of the account.')
    expect(page.focus()).toBe('secret')
    page.submit({ secret: used.odoo.password })
    await page.shows('ERP is connected.')
    await page.shows(`${used.odoo.url}, database acme, login admin, Odoo 17.0`)
    expect(['Create API key', 'Run Light Test', 'Run Heavy Test'].map(page.isEnabled)).toEqual([true, true, true])
  })
})

describe('keys', () => {
  it('are created, shown once, and revoked after a confirmation', async () => {
    const someone = await visitor('keys')
    const page = await someone.open()
    await connect(page)
    page.click('Create API key')
    page.submit({ name: ' ' })
    await page.shows('name: must not be empty')
    expect(page.focus()).toBe('name')
    page.submit({ name: 'Shop', expires_at: '2099-12-31' })
    await page.shows('it is not shown again')
    const [key] = /qb_live_[\w-]{51}/.exec(page.text())!
    page.click('Done')
    await page.shows('The key Shop is created.')
    await page.shows('2099')
    expect(page.text()).not.toContain(key)
    const [cells] = page.rows('keys')
    expect(cells).toEqual(['Shop', `${key.slice(0, 12)}…`, expect.any(String), expect.stringContaining('2099'), 'Active', 'Revoke'])

    page.click('Revoke')
    await page.shows('This cannot be undone.')
    page.click('Cancel')
    expect(page.rows('keys')[0]).toContain('Active')
    page.click('Revoke')
    page.click('Revoke')
    await page.shows('The key Shop is revoked.')
    expect(page.focus()).toBe('h2')
    expect(page.rows('keys')).toEqual([[...cells!.slice(0, 4), 'Revoked', '–']])
    expect((await someone.open()).text()).not.toContain(key)
  })
})

describe('speed tests', () => {
  it('show the last latency, -- before the first one, and a history with what failed', async () => {
    const someone = await visitor('tests')
    const page = await someone.open()
    await connect(page)
    expect(page.text().match(/Last Latency: -- ms/g)).toHaveLength(2)
    await page.shows('No speed tests yet.')
    page.click('Run Light Test')
    await page.shows('The light test took')
    page.click('Run Heavy Test')
    await page.shows('The heavy test took')
    expect(page.text().match(/Last Latency: \d+ ms/g)).toHaveLength(2)
    used.odoo.misbehave = (_request, response) => void response.writeHead(502).end('bad gateway')
    onTestFinished(() => {
      used.odoo.misbehave = null
    })
    page.click('Run Light Test')
    await page.shows('The light test failed: 127.0.0.1')
    const time = expect.any(String)
    const latency = expect.stringMatching(/^\d+ ms$/)
    const rows = [
      ['Light', '–', 'Failed', time, expect.stringContaining('502')],
      ['Heavy', latency, 'Succeeded', time, '25 sales orders'],
      ['Light', latency, 'Succeeded', time, 'Odoo 17.0'],
    ]
    expect(page.rows('history')).toEqual(rows)
    expect((await someone.open()).rows('history')).toEqual(rows)
    expect(page.text()).toMatch(/Light: p50 \d+ ms, p95 \d+ ms \(1 test\) .* Failed: 1 test/)
  })
})

it('offers nothing that the person may not do', async () => {
  const page = await (await visitor('reader', 'VIEWER')).open()
  await page.shows('No speed tests yet.')
  for (const text of ['Add an Odoo account', 'Create API key', 'Run Light Test', 'Run Heavy Test'])
    expect(() => page.isEnabled(text)).toThrow()
})

describe('the numbers of a history', () => {
  it('are percentiles of what succeeded, and columns from the oldest to the newest', async () => {
    const { columnsOf, latenciesOf, percentile, summaryOf } = await import(
      join(import.meta.dirname, '../../src/rest/page/bridge/statistics.js')
    )
    const test = (test_type: string, latency_ms: number | null, second: number) => ({
      ...{ test_type, latency_ms, status: latency_ms === null ? 'failed' : 'succeeded', details: null },
      tested_at: new Date(second * 1_000).toISOString(),
    })
    const tests = [test('light', 9, 4), test('heavy', 70, 3), test('light', null, 2), test('light', 5, 1)]
    expect(columnsOf(tests)).toEqual([
      [1_000, 2_000, 3_000, 4_000],
      [5, null, null, 9],
      [null, null, 70, null],
      [null, 0, null, null],
    ])
    expect(latenciesOf(tests, 'light')).toEqual([9, 5])
    expect(summaryOf(tests, 'light')).toBe('p50 5 ms, p95 9 ms (2 tests)')
    expect(summaryOf([], 'heavy')).toBe('no test succeeded')
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect([percentile(hundred, 0.5), percentile(hundred, 0.95), percentile([7], 0.95)]).toEqual([50, 95, 7])
  })
})
