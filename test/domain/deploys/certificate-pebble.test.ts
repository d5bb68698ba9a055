/** Certificates from a real authority, Pebble, for hosts of a running router. */
import { fork } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as requestHttp } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { certificateAuthority, findChallengeAnswer } from '../../../src/domain/deploys/certificate/index.ts'
import type { CertificateAuthority, IssueRequest } from '../../../src/domain/deploys/certificate/ports.ts'
import { certificateQueue, requestCertificates } from '../../../src/domain/deploys/certificate/queue.ts'
import { serveCertificates } from '../../../src/domain/deploys/certificate/serve.ts'
import { routerPort } from '../../../src/domain/deploys/instance/index.ts'
import type { Route, Router } from '../../../src/domain/deploys/instance/ports.ts'
import { createAcme } from '../../../src/drivers/acme/index.ts'
import { createProxyRouter } from '../../../src/drivers/proxy/index.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import { createAcmeHttp } from '../../support/acme-http.ts'
import { shiftClock } from '../../support/database.ts'
import { freePort } from '../../support/free-port.ts'
import { type Pebble, pebbleMissing, startPebble } from '../../support/pebble.ts'
import { createTenant, createWorld, type World } from '../../support/tenant.ts'
import { until } from '../../support/wait.ts'
import { createDomain, type Domain, eventsOf, shown } from './certificate-support.ts'

describe.skipIf(pebbleMissing !== null)(pebbleMissing ?? 'with Pebble', () => {
  let world: World
  let pebble: Pebble
  let router: Router
  let jobs: Jobs | null = null
  let settings: Record<string, string>
  const asked: IssueRequest[] = []
  const routes: Route[] = []
  const closing: (() => Promise<unknown> | unknown)[] = []

  beforeAll(async () => {
    const httpPort = await freePort()
    pebble = await startPebble({ httpPort })
    closing.push(pebble.close)
    settings = { ROUTER_TLS_PORT: '0', ACME_DIRECTORY_URL: pebble.directoryUrl, ACME_CA_FILE: pebble.caFile, WORKER_LEASE_MS: '1000' }
    world = await createWorld(settings)
    closing.push(world.close)
    const { app } = world
    const service = createServer((_request, response) => response.end('served'))
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
    closing.push(() => new Promise((resolve) => service.close(resolve)))
    const address = { host: '127.0.0.1', port: (service.address() as AddressInfo).port }
    router = createProxyRouter({
      ...{ host: '127.0.0.1', port: httpPort, tlsPort: 0, upstreams: { addressOf: () => address, staticFiles: () => null } },
      challenges: (host, token) => findChallengeAnswer(app, host, token),
    })
    closing.push(() => router.close({ graceMs: 0 }))
    expect(await router.listen()).toBe(true)
    routerPort.provide(app, router)
    const http = await createAcmeHttp(pebble.caFile)
    closing.push(() => http.close())
    const real = createAcme({ directoryUrl: pebble.directoryUrl, email: 'ops@example.com', http })
    const recorded: CertificateAuthority = {
      issue(one, signal) {
        asked.push(one)
        return real.issue(one, signal)
      },
    }
    certificateAuthority.provide(app, recorded)
    start()
    closing.push(() => jobs?.stop({ graceMs: 0 }))
  })
  afterAll(async () => {
    for (const close of closing.toReversed()) await close()
  })

  function start(): void {
    jobs = startJobs(world.app, { queues: [certificateQueue], chores: [requestCertificates, serveCertificates], worker: 'test' })
  }
  async function newDomain(): Promise<Domain> {
    const domain = await createDomain(world.app, await createTenant(world.app))
    routes.push({
      ...{ host: domain.domain, serviceId: domain.service, digest: null, deploymentId: null },
      target: { type: 'instances', instanceIds: ['a'] },
    })
    router.apply(routes)
    return domain
  }

  /** What a browser gets for a host over HTTPS, with the chain that it accepts. Null while there is no certificate. */
  const fetched = ({ domain }: Domain): Promise<{ body: string; certificate: X509Certificate } | null> =>
    new Promise((resolve) => {
      const sent = request({
        ...{ host: '127.0.0.1', port: router.tls!.port, servername: domain, agent: false },
        headers: { host: domain },
        ca: pebble.root,
      })
      sent.on('error', () => resolve(null))
      sent.on('response', (response) => {
        const certificate = (response.socket as TLSSocket).getPeerX509Certificate()!
        let body = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk
        })
        response.on('end', () => resolve({ body, certificate }))
      })
      sent.end()
    })
  const location = ({ domain }: Domain): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      const sent = requestHttp({
        host: '127.0.0.1',
        port: router.port,
        path: '/x?y',
        headers: { host: `${domain}:${router.port}` },
        agent: false,
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        response.resume()
        resolve(response.headers.location)
      })
      sent.end()
    })

  it('certificates of two organizations are issued, served with their chains, and renewed', async () => {
    const domains = [await newDomain(), await newDomain()]
    world.app.wake.notify('certificate requests')
    const first = await Promise.all(domains.map((domain) => until(`${domain.domain} over HTTPS`, () => fetched(domain))))
    for (const [at, { body, certificate }] of first.entries()) {
      expect(body).toBe('served')
      expect(certificate.subjectAltName).toBe(`DNS:${domains[at]!.domain}`)
      expect(await location(domains[at]!)).toBe(`https://${domains[at]!.domain}:${router.tls!.port}/x?y`)
      const { sslStatus, certificate: seen } = await shown(world.app, domains[at]!)
      expect([sslStatus, seen!.fingerprint, seen!.lastError]).toEqual(['ACTIVE', certificate.fingerprint256, null])
    }
    const lifeMs = first[0]!.certificate.validToDate.getTime() - first[0]!.certificate.validFromDate.getTime()
    await shiftClock(world.url, (lifeMs * 2) / 3)
    world.app.wake.notify('certificates')
    await Promise.all(
      domains.map((domain, at) =>
        until('the renewed one', async () => (await fetched(domain))?.certificate.fingerprint256 !== first[at]!.certificate.fingerprint256),
      ),
    )
    for (const domain of domains) expect((await eventsOf(world.app, domain)).map(({ type }) => type)).toEqual(['issued', 'renewed'])
  })

  it('a process that is killed after the issue and before the storing loses no key, and no second order is opened', async () => {
    await jobs!.stop({ graceMs: 0 })
    const domain = await newDomain()
    await requestCertificates.run(world.app, new AbortController().signal)
    const worker = fork(join(import.meta.dirname, '../../support/certificate-worker.ts'), [world.url, JSON.stringify(settings)], {
      execArgv: [],
    })
    const [issued] = (await once(worker, 'message')) as [{ type: string; chain: string }]
    worker.kill('SIGKILL')
    await once(worker, 'exit')
    expect(issued).toEqual({ type: 'issued', chain: expect.any(String) })
    expect((await shown(world.app, domain)).sslStatus).toBe('PENDING')
    start()
    const served = await until('the certificate is served', () => fetched(domain))
    expect(served.certificate.fingerprint256).toBe(new X509Certificate(issued.chain).fingerprint256)
    expect(asked.filter((one) => one.domain === domain.domain).map(({ orderUrl }) => orderUrl)).toEqual([
      expect.stringContaining('/my-order/'),
    ])
  })

  it('says why the authority could not verify a domain', async () => {
    await router.close({ graceMs: 0 })
    const domain = await createDomain(world.app, await createTenant(world.app))
    world.app.wake.notify('certificate requests')
    await until('the failure', async () => (await shown(world.app, domain)).sslStatus === 'FAILED')
    expect((await shown(world.app, domain)).certificate!.lastError).toMatch(/could not verify the domain: .*refused/)
  })
})
