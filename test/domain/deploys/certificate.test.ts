/** Certificates of custom domains: uploads, what routers serve, and orders from a scripted certificate authority. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { request } from 'node:https'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { certificateAuthority, findChallengeAnswer, openTlsPort } from '../../../src/domain/deploys/certificate/index.ts'
import { certificateQueue, requestCertificates } from '../../../src/domain/deploys/certificate/queue.ts'
import { serveCertificates } from '../../../src/domain/deploys/certificate/serve.ts'
import { openRouter, routerPort } from '../../../src/domain/deploys/instance/index.ts'
import type { Router } from '../../../src/domain/deploys/instance/ports.ts'
import { createProxyRouter } from '../../../src/drivers/proxy/index.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import type { TestApp } from '../../support/app.ts'
import { type Authority, createAuthority, issue, strayKey } from '../../support/certificate.ts'
import { shiftClock } from '../../support/database.ts'
import { createTenant, createWorld, type Tenant, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import {
  createDomain,
  type Domain,
  eventsOf,
  failing,
  minutesUntil,
  query,
  refused,
  remove,
  retry,
  scriptedAuthority,
  shown,
  upload,
} from './certificate-support.ts'

const dayMs = 24 * 3_600_000
let world: World
let app: TestApp
let tenant: Tenant
let other: Tenant
let root: Authority
let intermediate: Authority

beforeAll(async () => {
  world = await createWorld({ ROUTER_PORT: '0', ROUTER_TLS_PORT: '0', ACME_DIRECTORY_URL: 'https://ca.example/directory' })
  app = world.app
  tenant = await createTenant(app)
  other = await createTenant(app)
  root = await createAuthority('Test Root')
  intermediate = await createAuthority('Test Intermediate', root)
})
afterAll(() => world?.close())

const now = async () => (await row<{ now: Date }>(app.db, sql`select app_now() as now`))!.now
const issued = async (domain: string, options: { notBefore?: Date; notAfter?: Date } = {}) => {
  const { certificate, privateKey } = await issue(intermediate, { hosts: [domain], ...options })
  return { c: certificate + intermediate.pem, k: privateKey, certificate }
}
const uploadFor = async (domain: Domain, options: { notBefore?: Date; notAfter?: Date } = {}) => {
  const { c, k } = await issued(domain.domain, options)
  await query(app, domain.tenant, upload, { id: domain.id, c, k })
}

function provideRouter(to: App, tlsPort: number): Router {
  const router = createProxyRouter({
    ...{ host: '127.0.0.1', port: 0, tlsPort, upstreams: { addressOf: () => null, staticFiles: () => null } },
    challenges: (host, token) => findChallengeAnswer(to, host, token),
  })
  router.apply([])
  routerPort.provide(to, router)
  return router
}

/** The names and the issuer that a router shows for a host, or the error of the handshake. */
const handshake = (router: Router, servername: string): Promise<string> =>
  new Promise((resolve) => {
    const sent = request({
      host: '127.0.0.1',
      port: router.tls!.port,
      servername,
      headers: { host: servername },
      ca: root.pem,
      agent: false,
    })
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    sent.on('response', (response) => {
      const { subjectaltname, issuer } = (response.socket as unknown as import('node:tls').TLSSocket).getPeerCertificate()
      response.resume()
      resolve(`${subjectaltname} by ${issuer.CN}: ${response.statusCode}`)
    })
    sent.end()
  })

describe('an uploaded certificate', () => {
  it('is shown without its key, and makes the domain ACTIVE', async () => {
    const domain = await createDomain(app, tenant)
    expect(await shown(app, domain)).toEqual({ sslStatus: 'NONE', sslExpiresAt: null, certificate: null })
    const { c, k, certificate } = await issued(domain.domain)
    const { validToDate, fingerprint256 } = new X509Certificate(certificate)
    expect(await query(app, tenant, upload, { id: domain.id, c: `Subject: me\n${c}`, k })).toEqual({
      uploadCertificate: { customDomain: { sslStatus: 'ACTIVE' } },
    })
    const { sslExpiresAt, certificate: found } = await shown(app, domain)
    expect(sslExpiresAt).toBe(validToDate.toISOString())
    expect(found).toMatchObject({ source: 'UPLOADED', issuer: 'CN=Test Intermediate', fingerprint: fingerprint256, lastError: null })
    expect(minutesUntil(found!.nextAttemptAt, new Date(found!.notBefore!)) / (91 * 24 * 60)).toBeCloseTo(0.66, 1)
    expect((await eventsOf(app, domain)).map(({ type }) => type)).toEqual(['uploaded'])
  })

  it('is refused with the reason if it cannot be served', async () => {
    const domain = await createDomain(app, tenant)
    const good = await issued(domain.domain)
    const wrongHost = await issued('other.example.com')
    const encrypted = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).privateKey
    const expired = await issued(domain.domain, { notBefore: new Date(Date.now() - 2 * dayMs), notAfter: new Date(Date.now() - dayMs) })
    const future = await issued(domain.domain, { notBefore: new Date(Date.now() + dayMs) })
    const begin = '-----BEGIN CERTIFICATE-----\n'
    const cases: [string, string, string, RegExp][] = [
      [good.c, strayKey(), 'privateKeyPem', /does not belong to the first certificate/],
      [good.c, encrypted, 'privateKeyPem', /must not be encrypted/],
      [good.c, 'garbage', 'privateKeyPem', /must be a private key in PEM/],
      [good.c, 'x'.repeat(20_000), 'privateKeyPem', /at most 16000 characters/],
      ['garbage', good.k, 'certificatePem', /must contain a certificate in PEM/],
      [`${begin}AAAA\n-----END CERTIFICATE-----`, good.k, 'certificatePem', /certificate 1 cannot be read/],
      [wrongHost.c, wrongHost.k, 'certificatePem', new RegExp(`does not cover ${domain.domain}. It covers other.example.com`)],
      [
        intermediate.pem + good.certificate,
        good.k,
        'certificatePem',
        /must be that of the domain, but it is one of a certificate authority/,
      ],
      [good.certificate + root.pem, good.k, 'certificatePem', /certificate 1 is not issued by certificate 2/],
      [good.c + intermediate.pem.repeat(9), good.k, 'certificatePem', /at most 10 certificates/],
      [expired.c, expired.k, 'certificatePem', /certificate 1 expired at/],
      [future.c, future.k, 'certificatePem', /not valid before/],
    ]
    for (const [c, k, field, text] of cases) {
      const error = await refused(app, domain, upload, { id: domain.id, c, k })
      expect(error, String(text)).toMatchObject({ code: 'invalid_input', field, message: expect.stringMatching(text) })
    }
    expect((await shown(app, domain)).sslStatus).toBe('NONE')
    expect(await eventsOf(app, domain)).toEqual([])
  })

  it('is refused without a port for TLS, and automatic ones without a certificate authority', async () => {
    const plain = await world.process()
    Object.assign(plain.settings, { ROUTER_TLS_PORT: undefined })
    const domain = await createDomain(app, tenant)
    const { c, k } = await issued(domain.domain)
    expect(await refused(plain, domain, upload, { id: domain.id, c, k })).toMatchObject({ code: 'tls_disabled' })
    expect(await refused(plain, domain, retry, { id: domain.id })).toMatchObject({ code: 'acme_disabled' })
    expect(await refused(app, domain, remove, { id: domain.id })).toMatchObject({ code: 'not_found' })
  })
})

describe('routers', () => {
  it('of all processes serve the certificates of verified domains of all organizations, and stop when one is gone', async () => {
    const two = await world.process()
    const routers = [provideRouter(app, 0), provideRouter(two, 0)]
    const apps = [app, two]
    const pass = async () => {
      for (const one of apps) await openTlsPort(one)
    }
    try {
      const [shop, blog] = [await createDomain(app, tenant), await createDomain(app, other)]
      await uploadFor(shop)
      await pass()
      await uploadFor(blog)
      await pass()
      for (const router of routers) {
        expect(await handshake(router, shop.domain)).toBe(`DNS:${shop.domain} by Test Intermediate: 404`)
        expect(await handshake(router, blog.domain)).toBe(`DNS:${blog.domain} by Test Intermediate: 404`)
        expect(await handshake(router, 'nobody.example.com')).not.toContain('DNS:')
      }
      await query(app, tenant, remove, { id: shop.id })
      await run(app.db, sql`update custom_domain set verified_at = null, dns_status = 'PENDING' where domain = ${blog.domain}`)
      await pass()
      for (const router of routers) {
        for (const { domain } of [shop, blog]) expect(await handshake(router, domain)).not.toContain('DNS:')
      }
      expect((await shown(app, shop)).sslStatus).toBe('NONE')
    } finally {
      for (const router of routers) await router.close({ graceMs: 0 })
    }
  })

  it('share the port for TLS, and serve plain HTTP while another program has it', async () => {
    const two = await world.process()
    const first = provideRouter(app, 0)
    await openRouter(app)
    await openTlsPort(app)
    const sharing = provideRouter(two, first.tls!.port)
    const stranger = createServer()
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const { port } = stranger.address() as AddressInfo
    const routers = [first, sharing]
    try {
      await openRouter(two)
      await openTlsPort(two)
      expect(sharing.tls!.listens).toBe(true)
      await sharing.close({ graceMs: 0 })
      const refusedRouter = provideRouter(two, port)
      routers.push(refusedRouter)
      await openRouter(two)
      await openTlsPort(two)
      await openTlsPort(two)
      expect([refusedRouter.ready, refusedRouter.tls!.listens]).toEqual([true, false])
      expect(two.logged.filter(({ msg }) => String(msg).includes('port for TLS is in use'))).toMatchObject([{ port }])
      expect(serveCertificates.dueInMs!(two)).toBe(500)
      await new Promise((resolve) => stranger.close(resolve))
      await openTlsPort(two)
      expect(refusedRouter.tls!.listens).toBe(true)
    } finally {
      for (const router of routers) await router.close({ graceMs: 0 })
    }
  })
})

describe('an automatic certificate', () => {
  let ca: ReturnType<typeof scriptedAuthority>
  let jobs: Jobs | null = null

  beforeAll(() => {
    ca = scriptedAuthority(intermediate, [intermediate.pem])
    certificateAuthority.provide(app, ca.driver)
    jobs = startJobs(app, { queues: [certificateQueue], chores: [requestCertificates], worker: 'test' })
  })
  afterAll(() => jobs?.stop({ graceMs: 0 }))

  const reached = (domain: Domain, status: string) => until(`${status}`, async () => (await shown(app, domain)).sslStatus === status)
  const newDomain = async (...scripts: ReturnType<typeof failing>[]): Promise<Domain> => {
    const name = `${newId()}.example.com`
    ca.script(name, ...scripts)
    const domain = await createDomain(app, tenant, name)
    app.wake.notify('certificate requests')
    return domain
  }
  const makeDue = async ({ domain }: Domain) => {
    await run(
      app.db,
      sql`update certificate set next_attempt_at = app_now() where custom_domain_id = (select id from custom_domain where domain = ${domain})`,
    )
    app.wake.notify('certificates')
  }
  const types = async (domain: Domain) => (await eventsOf(app, domain)).map(({ type }) => type)
  const eventually = (domain: Domain, ...wanted: string[]) =>
    until(`events ${wanted}`, async () => (await types(domain)).join() === wanted.join())

  it('is ordered for a verified domain with a new key, and renewed with another one', async () => {
    const domain = await newDomain()
    await reached(domain, 'ACTIVE')
    const { certificate } = await shown(app, domain)
    expect(certificate).toMatchObject({ source: 'ACME', issuer: 'CN=Test Intermediate', lastError: null })
    const lifeMinutes = minutesUntil(certificate!.expiresAt, new Date(certificate!.notBefore!))
    const share = minutesUntil(certificate!.nextAttemptAt, new Date(certificate!.notBefore!)) / lifeMinutes
    expect(share).toBeGreaterThan(0.64)
    expect(share).toBeLessThan(0.667)
    await makeDue(domain)
    await eventually(domain, 'issued', 'renewed')
    expect((await shown(app, domain)).certificate!.fingerprint).not.toBe(certificate!.fingerprint)
    const [first, second] = ca.requests.filter((one) => one.domain === domain.domain)
    expect(second!.privateKey).not.toBe(first!.privateKey)
    expect(second!.accountKey).toBe(first!.accountKey)
    expect(second!.orderUrl).toBeNull()
    const rest = await row(
      app.db,
      sql`select order_url, order_key, challenge_token from certificate where custom_domain_id = ${decodeId('CustomDomain', domain.id)}::uuid`,
    )
    expect(rest).toEqual({ orderUrl: null, orderKey: null, challengeToken: null })
  })

  it.each([
    ['unreachable', null, 1],
    ['challenge', null, 15],
    ['refused', null, 60],
    ['rate_limited', null, 60],
    ['rate_limited', 3 * 3_600_000, 180],
    ['unreachable', 30 * 60_000, 30],
  ] as const)('that fails with %s, Retry-After %s, is tried again after %i minutes', async (failure, retryAfterMs, minutes) => {
    const domain = await newDomain(failing(failure, retryAfterMs))
    await reached(domain, 'FAILED')
    const { certificate } = await shown(app, domain)
    expect(certificate).toMatchObject({ lastError: `The certificate authority said ${failure}.`, expiresAt: null })
    const waits = minutesUntil(certificate!.nextAttemptAt, await now())
    expect(waits).toBeGreaterThan(minutes * 0.9)
    expect(waits).toBeLessThan(minutes * 1.11)
    expect(await eventsOf(app, domain)).toMatchObject([
      {
        type: 'failing',
        data: { error: certificate!.lastError, nextAttemptAt: certificate!.nextAttemptAt!.toString() ? expect.any(String) : null },
      },
    ])
    await makeDue(domain)
    await reached(domain, 'ACTIVE')
    expect((await shown(app, domain)).certificate!.lastError).toBeNull()
    expect(await types(domain)).toEqual(['failing', 'issued'])
  })

  it('stays in use while its renewal fails, which is told each time until it expires', async () => {
    const domain = await newDomain()
    await reached(domain, 'ACTIVE')
    const { fingerprint } = (await shown(app, domain)).certificate!
    ca.script(domain.domain, failing('unreachable'), failing('challenge'))
    await makeDue(domain)
    await eventually(domain, 'issued', 'failing')
    await makeDue(domain)
    await eventually(domain, 'issued', 'failing', 'failing')
    expect(await shown(app, domain)).toMatchObject({ sslStatus: 'ACTIVE', certificate: { fingerprint, lastError: expect.any(String) } })
    await run(app.db, sql`update certificate set expires_at = app_now() where fingerprint = ${fingerprint}`)
    ca.script(domain.domain, failing('unreachable'))
    await makeDue(domain)
    await eventually(domain, 'issued', 'failing', 'failing', 'expired', 'failing')
    expect((await shown(app, domain)).sslStatus).toBe('EXPIRED')
    await makeDue(domain)
    await reached(domain, 'ACTIVE')
  })

  it('that cannot be used is not stored', async () => {
    const domain = await newDomain(async ({ privateKey }) => {
      const { certificate } = await issue(intermediate, { hosts: ['other.example.com'], privateKey })
      return { type: 'issued', chain: certificate }
    })
    await reached(domain, 'FAILED')
    expect((await shown(app, domain)).certificate!.lastError).toContain(`does not cover ${domain.domain}`)
  })

  it('continues the order of a process that was stopped, with the same key', async () => {
    let request: { privateKey: string } | undefined
    const hanging = (asked: (typeof ca.requests)[number], signal: AbortSignal) =>
      asked.onOrder('https://ca.example/order/kept').then(() => {
        request = asked
        return new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      })
    const domain = await newDomain(hanging)
    await until('the order is open', () => request)
    await jobs!.stop({ graceMs: 0 })
    jobs = startJobs(app, { queues: [certificateQueue], chores: [requestCertificates], worker: 'next' })
    await reached(domain, 'ACTIVE')
    const last = ca.requests.findLast((one) => one.domain === domain.domain)!
    expect(last).toMatchObject({ orderUrl: 'https://ca.example/order/kept', privateKey: request!.privateKey })
  })

  it('gives way to an upload during its order', async () => {
    let proceed = () => {}
    const waiting = new Promise<void>((resolve) => {
      proceed = resolve
    })
    let started = false
    const domain = await newDomain(async (asked, signal) => {
      started = true
      await waiting
      return ca.issues(asked, signal)
    })
    await until('the order is open', () => started)
    await uploadFor(domain)
    proceed()
    await until('the queue is idle', async () => ca.requests.length > 0)
    expect(await shown(app, domain)).toMatchObject({ sslStatus: 'ACTIVE', certificate: { source: 'UPLOADED' } })
    expect(await refused(app, domain, retry, { id: domain.id })).toMatchObject({ code: 'certificate_uploaded' })
    await query(app, tenant, remove, { id: domain.id })
    await until('an automatic one', async () => (await shown(app, domain)).certificate?.source === 'ACME')
    await reached(domain, 'ACTIVE')
    expect(await refused(app, domain, remove, { id: domain.id })).toMatchObject({ code: 'certificate_automatic' })
  })

  it('is retried on request, but not before the time that the authority has asked for', async () => {
    const domain = await newDomain(failing('refused'))
    await reached(domain, 'FAILED')
    await run(app.db, sql`update certificate set last_attempt_at = last_attempt_at - interval '2 minutes' where status = 'FAILED'`)
    await query(app, tenant, retry, { id: domain.id })
    await reached(domain, 'ACTIVE')
    const limited = await newDomain(failing('rate_limited', 2 * 3_600_000))
    await reached(limited, 'FAILED')
    await query(app, tenant, retry, { id: limited.id })
    expect(minutesUntil((await shown(app, limited)).certificate!.nextAttemptAt, await now())).toBeGreaterThan(100)
    await run(app.db, sql`update custom_domain set verified_at = null, dns_status = 'PENDING' where domain = ${limited.domain}`)
    expect(await refused(app, limited, retry, { id: limited.id })).toMatchObject({ code: 'domain_not_verified' })
  })

  it('has its challenge answered by every process, for exactly its host and token', async () => {
    let proceed = () => {}
    const waiting = new Promise<void>((resolve) => {
      proceed = resolve
    })
    let answered = false
    const domain = await newDomain(async (asked, signal) => {
      await asked.onChallenge({ token: 'the-token-of-the-order', answer: 'the answer' })
      answered = true
      await waiting
      return ca.issues(asked, signal)
    })
    await until('the challenge is known', () => answered)
    const two = await world.process()
    expect(await findChallengeAnswer(two, domain.domain, 'the-token-of-the-order')).toBe('the answer')
    expect(await findChallengeAnswer(two, domain.domain, 'another-token-of-nobody')).toBeNull()
    expect(await findChallengeAnswer(two, 'another.example.com', 'the-token-of-the-order')).toBeNull()
    proceed()
    await reached(domain, 'ACTIVE')
    expect(await findChallengeAnswer(two, domain.domain, 'the-token-of-the-order')).toBeNull()
  })

  it('an uploaded one that nears its end is told of more and more often, and expires', async () => {
    const domain = await createDomain(app, other)
    await uploadFor(domain)
    await makeDue(domain)
    await eventually(domain, 'uploaded', 'failing')
    const { certificate } = await shown(app, domain)
    expect(certificate!.lastError).toContain('is not renewed automatically')
    expect(minutesUntil(certificate!.nextAttemptAt, await now()) / (24 * 60)).toBeCloseTo(45, 0)
    await shiftClock(world.url, 91 * dayMs)
    app.wake.notify('certificates')
    await eventually(domain, 'uploaded', 'failing', 'expired')
    expect(await shown(app, domain)).toMatchObject({ sslStatus: 'EXPIRED', certificate: { nextAttemptAt: null } })
  })
})
