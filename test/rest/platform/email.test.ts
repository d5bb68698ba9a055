/** Email by the rows of the contract, and the key of an email service, which works for `send` of its own service and nowhere else. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { contentIdentity } from '../../../src/domain/access/mail/model.ts'
import { connectEmailService, revokeEmailApiKey } from '../../../src/domain/resources/email/index.ts'
import { execute } from '../../../src/platform/command.ts'
import { row, sql } from '../../../src/platform/db/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'
import { startRest, type TestServer } from '../support.ts'

let rest: TestServer
let key: string
let services: string[]

beforeAll(async () => {
  rest = await startRest([platformDialect])
  key = rest.acme.key.ADMIN
  services = []
  for (const name of ['Receipts', 'News']) services.push((await post('/services', { name })).body.id)
  for (const service of services) await addVerified(service, 'ada@example.com')
})
afterAll(() => rest.close())

const post = (path: string, body: object = {}, headers?: Record<string, string>) =>
  rest.call('POST', `/api/email${path}`, headers ? { body, headers } : { key, body })
const get = (path: string) => rest.call('GET', `/api/email${path}`, { key })

async function addVerified(service: string, email: string): Promise<void> {
  const added = await post(`/services/${service}/sandbox-emails`, { email })
  expect(added).toMatchObject({ status: 201, body: { email, status: 'pending', expires_at: expect.any(String) } })
  const queued = sql`select id, organization_id, content from mail where ref = ${added.body.id}::uuid`
  const { id, organizationId, content } = (await row<{ id: string; organizationId: string; content: Uint8Array }>(rest.app.db, queued))!
  const { text } = JSON.parse(await rest.app.keyring.open(rest.app.db, organizationId, contentIdentity(id), content))
  const code = /^ +(\d{6})$/m.exec(text)![1]!
  const wrong = code === '000000' ? '111111' : '000000'
  expect(await post(`/services/${service}/sandbox-emails`, { email, code: wrong })).toMatchObject({
    status: 400,
    body: { detail: 'code: is wrong. Tries left: 4.' },
  })
  expect(await post(`/services/${service}/sandbox-emails`, { email, code })).toMatchObject({
    status: 200,
    body: { id: added.body.id, email, status: 'verified', expires_at: null },
  })
}

const mail = { from: 'hello@shop.example', to: ['ada@example.com'], subject: 'Hello', message: '<p>Hello</p>' }
const newKey = async (service: string): Promise<string> => {
  const { status, body } = await post(`/services/${service}/api-keys`, { name: 'shop' })
  expect(status).toBe(201)
  expect(body.plaintext_key).toMatch(/^rs_eml_[\w-]{32}$/)
  return body.plaintext_key
}

it("a service's key sends with its own service in each header, and is refused everywhere else", async () => {
  const [own, other] = services as [string, string]
  const emailKey = await newKey(own)
  for (const headers of [
    { 'api-key': emailKey },
    { authorization: `Bearer ${emailKey}` },
    { authorization: `Api-Key ${emailKey}` },
    { 'x-api-key': emailKey },
  ] as Record<string, string>[]) {
    expect(await post(`/services/${own}/send`, mail, headers)).toMatchObject({
      status: 200,
      body: {
        id: expect.any(String),
        status: 'queued',
        mode: 'sandbox',
        from: 'hello@shop.example',
        to: ['ada@example.com'],
        message: expect.any(String),
      },
    })
    expect((await post(`/services/${other}/send`, mail, headers)).status).toBe(404)
  }
  const params: Record<string, string> = { service_id: own, domain_id: own }
  for (const { method, path, id } of platformDialect.routes) {
    if (id === 'sendEmail') continue
    const url = `/api${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name] ?? own)}`
    for (const headers of [{ 'api-key': emailKey }, { authorization: `Bearer ${emailKey}` }] as Record<string, string>[])
      expect(await rest.call(method, url, { headers }), url).toMatchObject({ status: 401 })
  }
  const graphql = await rest.server.inject({
    method: 'POST',
    url: '/graphql',
    headers: { authorization: `Bearer ${emailKey}` },
    payload: { query: '{ nothing }' },
  })
  expect(graphql.statusCode).toBe(401)
})

it('an account key takes precedence over the key of a service, and a bad one is refused', async () => {
  const own = services[0]!
  const emailKey = await newKey(own)
  expect((await post(`/services/${own}/send`, mail, { authorization: 'Bearer bad', 'api-key': emailKey })).status).toBe(401)
  expect((await post(`/services/${own}/send`, mail, { 'api-key': `${emailKey.slice(0, -1)}x` })).status).toBe(401)
  expect((await post(`/services/${own}/send`, mail, { 'api-key': rest.acme.key.ADMIN })).status).toBe(401)
  expect((await post(`/services/${own}/send`, mail, { authorization: `Bearer ${rest.acme.key.READ}`, 'api-key': emailKey })).status).toBe(
    403,
  )
})

it('a key of a deleted service is refused at once', async () => {
  const { id } = (await post('/services', { name: 'Gone' })).body
  const emailKey = await newKey(id)
  expect((await post(`/services/${id}/send`, mail, { 'api-key': emailKey })).status).toBe(400)
  expect((await rest.call('DELETE', `/api/email/services/${id}`, { key })).status).toBe(204)
  expect((await post(`/services/${id}/send`, mail, { 'api-key': emailKey })).status).toBe(401)
})

it('a revoked key is refused at once, and revoking it again changes nothing', async () => {
  const own = services[0]!
  const { id, plaintext_key: emailKey } = (await post(`/services/${own}/api-keys`, { name: 'old' })).body
  expect((await post(`/services/${own}/send`, mail, { 'api-key': emailKey })).status).toBe(200)
  const request = { app: rest.app, caller: rest.acme.owner, requestId: 'test' }
  const { emailApiKey } = await execute(request, revokeEmailApiKey, { id })
  expect(emailApiKey).toMatchObject({ id, revokedAt: expect.any(Date) })
  expect((await post(`/services/${own}/send`, mail, { 'api-key': emailKey })).status).toBe(401)
  expect(await execute(request, revokeEmailApiKey, { id })).toEqual({ emailApiKey })
})

it('an unverified recipient is named, and a repeated idempotency key sends once', async () => {
  const own = services[0]!
  expect(await post(`/services/${own}/send`, { ...mail, bcc: ['eve@example.com'] })).toMatchObject({
    status: 400,
    body: { detail: expect.stringContaining('eve@example.com') },
  })
  const emailKey = await newKey(own)
  const headers = { 'api-key': emailKey, 'idempotency-key': 'once' }
  const [one, two] = [await post(`/services/${own}/send`, mail, headers), await post(`/services/${own}/send`, mail, headers)]
  expect(two.body).toEqual(one.body)
})

it('attachments of 10 MB are accepted, and larger ones refused', async () => {
  const own = services[0]!
  const attachment = (bytes: number) => ({
    filename: 'a.bin',
    content_type: 'application/octet-stream',
    content_base64: Buffer.alloc(bytes, 7).toString('base64'),
  })
  expect((await post(`/services/${own}/send`, { ...mail, attachments: [attachment(10 * 1024 * 1024)] })).status).toBe(200)
  expect(
    await post(`/services/${own}/send`, { ...mail, attachments: [attachment(6 * 1024 * 1024), attachment(5 * 1024 * 1024)] }),
  ).toMatchObject({
    status: 400,
    body: { detail: expect.stringMatching(/^attachments: /) },
  })
})

it('a domain is verified, which switches the service to production', async () => {
  const { id } = (await post('/services', { name: 'Domains' })).body
  const added = await post(`/services/${id}/domains`, { domain: 'shop.example' })
  expect(added).toMatchObject({
    status: 201,
    body: { status: 'pending', records: [{ purpose: 'SPF' }, { purpose: 'DKIM' }, { purpose: 'DMARC' }] },
  })
  for (const { name, value } of added.body.records) rest.dns.records.set(name, [value])
  expect(await post(`/services/${id}/domains/${added.body.id}/verify`)).toMatchObject({ status: 200, body: { status: 'verified' } })
  expect((await post(`/services/${services[0]}/domains/${added.body.id}/verify`)).status).toBe(404)
  expect((await get('/services')).body.services.find((service: { id: string }) => service.id === id).mode).toBe('production')
  expect((await get(`/services/${id}/domains`)).body).toMatchObject({ total: 1, domains: [{ status: 'verified' }] })
  rest.dns.silent.add('shop.example')
  expect((await post(`/services/${id}/domains/${added.body.id}/verify`)).status).toBe(503)
})

it('tells the usage and the numbers of a window', async () => {
  const tenant = await get('/tenant')
  expect(tenant.body).toMatchObject({ service_count: expect.any(Number), daily_limit: 10_000 })
  expect(tenant.body.sent_today).toBeGreaterThan(0)
  expect((await get(`/services/${services[0]}/stats?from=2026-01-01&to=2030-01-01T00:00:00Z`)).body).toMatchObject({ sent: 0, failed: 0 })
  expect((await get(`/services/${services[0]}/stats?from=yesterday`)).status).toBe(400)
})

it('counts the services that the web services of a project are connected to', async () => {
  const project = (await rest.call('POST', '/api/projects', { key, body: { name: 'Shop' } })).body
  const web = (await rest.call('POST', '/api/web-services', { key, body: { name: 'Web', project_id: project.id } })).body
  const request = { app: rest.app, caller: rest.acme.owner, requestId: 'test' }
  await execute(request, connectEmailService, { emailServiceId: services[0]!, webServiceId: web.id })
  expect((await rest.call('GET', `/api/projects/${project.id}`, { key })).body.service_summary.email).toBe(1)
  const { projects } = (await rest.call('GET', '/api/projects', { key })).body
  expect(projects.find(({ id }: { id: string }) => id === project.id).service_summary.email).toBe(1)
})

it('creates a webhook with its secret, and refuses unknown events', async () => {
  const url = 'http://127.0.0.1:9/hook'
  expect(await post(`/services/${services[0]}/webhooks`, { url, events: ['delivered', 'bounced'] })).toMatchObject({
    status: 201,
    body: { url, events: ['delivered', 'bounced'], secret: expect.stringMatching(/^whsec_/), is_active: true },
  })
  for (const events of [[], ['sent'], ['email.delivered'], 'delivered'])
    expect((await post(`/services/${services[0]}/webhooks`, { url, events })).status).toBe(400)
})
