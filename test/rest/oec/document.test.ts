/**
 * What the contract's documents show, by its heading: commands as they stand, with another host and key, sent by curl to a listening server.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createApiKey, hashKey, importApiKey } from '../../../src/domain/access/api-key/index.ts'
import { createProject } from '../../../src/domain/apps/project/index.ts'
import { createWebService } from '../../../src/domain/apps/web-service/index.ts'
import { type CommandInput, execute } from '../../../src/platform/command.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { encodeId } from '../../../src/platform/id.ts'
import { settleRateLimits } from '../../../src/platform/rate-limit/index.ts'
import { oecDialect } from '../../../src/rest/oec/index.ts'
import { setToMidMinute } from '../../support/database.ts'
import { oecKeys, startRest, type TestServer } from '../support.ts'

let rest: TestServer
let host: string
let projectId: string
let environmentId: string

beforeAll(async () => {
  rest = await startRest([oecDialect], { RATE_LIMITS: '' }, oecKeys)
  await rest.server.listen({ port: 0, host: '127.0.0.1' })
  host = `http://127.0.0.1:${(rest.server.server.address() as AddressInfo).port}`
  const { project } = await execute(request(), createProject, { name: 'Client ERP' })
  const service = { name: 'Web', projectId: project.id, repositoryUrl: 'https://git.example.com/erp.git' }
  const { webService } = await execute(request(), createWebService, service)
  projectId = encodeId('Project', project.id)
  environmentId = encodeId('Environment', webService.environmentId)
})
beforeEach(() => setToMidMinute(rest.databaseUrl, rest.app))
afterAll(() => rest?.close())

const request = () => ({ app: rest.app, caller: rest.acme.owner, requestId: 'test' })
const createKey = async (input: CommandInput = {}) => {
  const { apiKey, plaintextKey } = await execute(request(), createApiKey, { name: 'ci', kind: 'OEC', scope: 'WRITE', ...input })
  return { id: apiKey.id, named: encodeId('ApiKey', apiKey.id), text: plaintextKey! }
}
const call = (method: string, path: string, key: string, headers: Record<string, string> = {}) =>
  rest.call(method, `/api/public/v1${path}`, { key, headers })

/** Runs a command of the documents. Its output is JSON. */
async function shell(command: string, key: string): Promise<unknown> {
  const changed = command.replaceAll('https://api.oec.sh', host).replaceAll('oec_live_rw_your_key_here', key)
  const { stdout } = await promisify(execFile)('sh', ['-c', changed.replace(/^curl /, 'curl -sS ')])
  return JSON.parse(stdout)
}

const page = () => ({
  items: [
    {
      id: projectId,
      name: 'Client ERP',
      slug: 'client-erp',
      environment_count: 1,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    },
  ],
  total: 1,
  page: 1,
  page_size: 20,
})

describe('Public API v1', () => {
  it('Make Your First Request', async () => {
    const command = `curl https://api.oec.sh/api/public/v1/projects \\
-H "Authorization: Bearer oec_live_rw_your_key_here"`
    expect(await shell(command, rest.acme.key.WRITE)).toEqual(page())
  })

  it('Explore Endpoints', async () => {
    const { text } = await createKey()
    expect((await call('GET', `/projects/${projectId}/environments`, text)).body.items).toMatchObject([
      { id: environmentId, project_id: projectId },
    ])
    const redeploy = await call('POST', `/environments/${environmentId}/actions/redeploy`, text)
    expect(redeploy).toMatchObject({
      status: 202,
      body: { status: 'queued', environment_id: environmentId, task_id: expect.stringMatching(/^task_/) },
    })
    expect(await call('GET', redeploy.body.poll_url.replace('/api/public/v1', ''), text)).toMatchObject({ status: 200 })
    expect(await call('GET', `/environments/${environmentId}`, text)).toMatchObject({ status: 200, body: { id: environmentId } })
  })

  it('Interactive Documentation', async () => {
    for (const name of ['docs', 'redoc']) {
      const answer = await rest.call('GET', `/api/public/v1/${name}`)
      expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
      const links = [...answer.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!)
      expect(links.length).toBeGreaterThan(2)
      for (const link of links) {
        expect(link).toMatch(new RegExp(`^/api/public/v1/${name}/`))
        expect((await rest.call('GET', link)).status, link).toBe(200)
      }
    }
    // The page's Content-Security-Policy would block the only image of the script. If this one is gone, see what a newer script loads instead.
    const bundle = await readFile(createRequire(import.meta.url).resolve('redoc/bundles/redoc.standalone.js'), 'utf8')
    expect(bundle.match(/\bsrc:"https?:[^"]*"/g)).toEqual(['src:"https://cdn.redoc.ly/redoc/logo-mini.svg"'])
    const { text } = await rest.call('GET', '/api/public/v1/redoc/redoc.standalone.js')
    expect(text).not.toMatch(/\bsrc:"https?:/)
    expect(text).not.toContain('cdn.redoc.ly')
    expect(await rest.call('GET', '/api/public/v1/openapi.json')).toMatchObject({ status: 200, body: { openapi: '3.1.0' } })
  })
})

describe('Authentication', () => {
  it('Key Types', async () => {
    const { text: writer } = await createKey()
    const { text: reader } = await createKey({ scope: 'READ' })
    const limits = async (key: string) => (await call('GET', '/projects', key)).headers
    expect(await limits(reader)).toMatchObject({ 'x-ratelimit-limit': '120', 'x-ratelimit-remaining': '119', 'x-ratelimit-window': '60' })
    expect(await limits(writer)).toMatchObject({ 'x-ratelimit-limit': '20', 'x-ratelimit-remaining': '19', 'x-ratelimit-window': '60' })
    for (const [method, path] of [
      ['POST', `/environments/${environmentId}/actions/deploy`],
      ['POST', '/webhooks'],
      ['PATCH', `/webhooks/${encodeId('WebhookEndpoint', rest.acme.organizationId)}`],
      ['DELETE', `/api-keys/${encodeId('ApiKey', rest.acme.organizationId)}`],
    ] as const) {
      expect(await call(method, path, reader), path).toMatchObject({ status: 403, body: { error: 'read_only_key' } })
    }
  })

  it('Key Types: the 21st request of a minute with a key with full access', async () => {
    const { text, named } = await createKey()
    for (let sent = 0; sent < 20; sent++) expect((await call('GET', '/projects', text)).status).toBe(200)
    const refused = await call('GET', '/projects', text)
    expect(refused).toMatchObject({
      status: 429,
      body: { error: 'rate_limit_exceeded', retry_after: Number(refused.headers['retry-after']) },
      headers: { 'x-api-key-id': named, 'x-ratelimit-remaining': '0' },
    })
    await settleRateLimits(rest.app)
    expect(await call('POST', `/environments/${environmentId}/actions/deploy`, text)).toMatchObject({ status: 429 })
  })

  it('Key Scopes', async () => {
    const other = await execute(request(), createProject, { name: 'Other' })
    const { text } = await createKey({ scope: 'READ', projectId: other.project.id })
    expect((await call('GET', '/projects', text)).body).toMatchObject({ total: 1, items: [{ name: 'Other' }] })
    for (const path of [`/projects/${projectId}`, `/environments/${environmentId}`]) {
      expect(await call('GET', path, text)).toMatchObject({ status: 404, body: { error: 'not_found' } })
    }
  })

  it('Copy the Key: a key of this form goes on working once it was imported', async () => {
    const text = 'oec_live_rw_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6'
    expect(await call('GET', '/projects', text)).toMatchObject({ status: 401, body: { error: 'invalid_key' } })
    const sha256 = Buffer.from(hashKey(text)).toString('hex')
    await execute(request(), importApiKey, { name: 'old', kind: 'OEC', scope: 'WRITE', sha256, prefix: 'oec_live_rw_a1b2' })
    expect(await call('GET', `/environments/${environmentId}`, text)).toMatchObject({ status: 200 })
  })

  it.each([
    ['Authorization Header', '-H "Authorization: Bearer oec_live_rw_your_key_here"'],
    ['X-API-Key Header', '-H "X-API-Key: oec_live_rw_your_key_here"'],
  ])('Code Examples: %s', async (_title, header) => {
    const { text } = await createKey({ scope: 'READ' })
    const command = `curl https://api.oec.sh/api/public/v1/projects \\\n${header}`
    expect(await shell(command, text)).toMatchObject({ items: expect.arrayContaining(page().items), page: 1, page_size: 20 })
  })

  it('Key Expiry', async () => {
    const { id, named, text } = await createKey({ scope: 'READ' })
    await run(rest.app.db, sql`update api_key set expires_at = app_now() - interval '1 second' where id = ${id}::uuid`)
    expect(await call('GET', '/projects', text)).toMatchObject({ status: 401, body: { error: 'key_expired' } })
    const { text: owner } = await createKey()
    const { items } = (await call('GET', '/api-keys?page_size=100', owner)).body
    expect(items.find((key: { id: string }) => key.id === named)).toMatchObject({ status: 'expired' })
    expect(await call('DELETE', `/api-keys/${named}`, owner)).toMatchObject({ status: 204 })
  })

  it('Checking Which Key Was Used', async () => {
    const { named, text } = await createKey({ scope: 'READ' })
    for (const path of ['/projects', '/projects/nope', '/projects?page=x', '/nope']) {
      expect((await call('GET', path, text)).headers['x-api-key-id'], path).toBe(named)
    }
    expect((await call('PUT', '/projects', text)).headers['x-api-key-id']).toBe(named)
  })
})
