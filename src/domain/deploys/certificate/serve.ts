/** The certificates that the router of each process serves, and the challenges that it answers for orders of all processes. */
import type { Chore } from '../../../platform/claim.ts'
import { row, rows, sql } from '../../../platform/db/index.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { type HostCertificate, routerPort } from '../instance/index.ts'
import { privateKeyIdentity, servedTopic } from './model.ts'

/** `served`: the certificate of each host, by its id and generation. `isRefused`: another program had the port for TLS at the last try. */
type Memory = { served: Map<string, string>; isRefused: boolean }
const memoryOf = perApp((): Memory => ({ served: new Map(), isRefused: false }))

const retryMs = 500

export const serveCertificates: Chore = {
  name: 'serve certificates',
  topic: servedTopic,
  everyMs: 10_000,
  dueInMs: (app) => (routerPort.use(app).tls?.listens === false ? retryMs : null),
  run: openTlsPort,
}

/**
 * Updates the certificates of this process's router, then makes it listen for TLS, if a port for it is configured: before it has them, it would
 * refuse handshakes that another process could have answered. While another program has the port, only plain HTTP is served.
 */
export async function openTlsPort(app: App): Promise<void> {
  const { tls } = routerPort.use(app)
  if (!tls) return
  await updateCertificates(app)
  if (tls.listens) return
  const others = await row(
    app.db,
    sql`select 1 as others from router where process_id <> ${app.processId} and expires_at > app_now() limit 1`,
  )
  const memory = memoryOf(app)
  const isRefused = !(await tls.listen({ shared: others !== null }))
  if (isRefused && !memory.isRefused)
    app.log.error({ port: tls.port }, 'The port for TLS is in use by another program. Retrying until it is free.')
  memory.isRefused = isRefused
}

type Served = { id: string; host: string; generation: string }

/** Certificates that are read and opened together. */
const batch = 50

async function updateCertificates(app: App): Promise<void> {
  const tls = routerPort.use(app).tls!
  const { served } = memoryOf(app)
  const wanted = await rows<Served>(
    app.db,
    sql`select c.id, d.domain as host, c.id || ' ' || c.generation as generation
        from certificate c join custom_domain d on d.id = c.custom_domain_id
        where c.chain is not null and c.expires_at > app_now() and d.verified_at is not null`,
  )
  const hosts = new Set(wanted.map(({ host }) => host))
  const removed = [...served.keys()].filter((host) => !hosts.has(host))
  if (removed.length > 0) tls.change({ set: [], removed })
  for (const host of removed) served.delete(host)
  const changed = wanted.filter(({ host, generation }) => served.get(host) !== generation)
  for (let at = 0; at < changed.length; at += batch) {
    const some = changed.slice(at, at + batch)
    const certificates = await openCertificates(app, some)
    const opened = new Set(certificates.map(({ host }) => host))
    // A certificate whose key cannot be opened is not served, and neither is the former one. It is not read again.
    tls.change({ set: certificates, removed: some.map(({ host }) => host).filter((host) => !opened.has(host)) })
    for (const { host, generation } of some) served.set(host, generation)
  }
}

async function openCertificates(app: App, some: readonly Served[]): Promise<HostCertificate[]> {
  const found = await rows<{ id: string; organizationId: string; chain: string; privateKey: Uint8Array }>(
    app.db,
    sql`select id, organization_id, chain, private_key from certificate where id = any(${some.map(({ id }) => id)}::uuid[]) and chain is not null`,
  )
  const hostOf = new Map(some.map(({ id, host }) => [id, host]))
  const opened: HostCertificate[] = []
  for (const { id, organizationId, chain, privateKey: sealed } of found) {
    try {
      const privateKey = await app.keyring.open(app.db, organizationId, privateKeyIdentity(id), sealed)
      opened.push({ host: hostOf.get(id)!, chain, privateKey })
    } catch (err) {
      app.log.error({ err, host: hostOf.get(id) }, 'the private key of a certificate could not be opened')
    }
  }
  return opened
}

/** The answer to a challenge for a host. Null if no order of any process has this challenge. */
export async function findChallengeAnswer(app: App, host: string, token: string): Promise<string | null> {
  const found = await row<{ answer: string }>(
    app.db,
    sql`select c.challenge_answer as answer from certificate c join custom_domain d on d.id = c.custom_domain_id
        where d.domain = ${host} and d.verified_at is not null and c.challenge_token = ${token}`,
  )
  return found?.answer ?? null
}
