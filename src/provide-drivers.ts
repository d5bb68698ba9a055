/** Drivers for the domain's ports, by the settings. The only place that chooses drivers. */

import { lookup } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from './cli/open-app.ts'
import { dnsResolver, mailConcurrency, mailTransport } from './domain/access/mail/index.ts'
import { sshPort } from './domain/apps/server/index.ts'
import { certificateAuthority, findChallengeAnswer } from './domain/deploys/certificate/index.ts'
import { sourcePort } from './domain/deploys/deployment/index.ts'
import { diskStore } from './domain/deploys/disk/index.ts'
import { type Runtime, routerPort, routerProbePort, runtimePort } from './domain/deploys/instance/index.ts'
import { odooPort } from './domain/odoo/odoo-account/index.ts'
import { backupEngine, backupStore } from './domain/resources/backup/index.ts'
import type { BackupStore } from './domain/resources/backup/ports.ts'
import { databaseEngine } from './domain/resources/database/index.ts'
import { replicaEngine } from './domain/resources/database-replica/index.ts'
import { redisEngine } from './domain/resources/redis/index.ts'
import { storageEndpoint } from './domain/resources/storage/index.ts'
import { blobStore } from './domain/resources/stored-object/index.ts'
import type { BlobStore } from './domain/resources/stored-object/ports.ts'
import { contractBodies, dispatcherPort, outgoingHttp, selectionPort } from './domain/webhooks/endpoint/index.ts'
import { createAcme } from './drivers/acme/index.ts'
import { createBackupDisk } from './drivers/backup-disk/index.ts'
import { createBackupS3 } from './drivers/backup-s3/index.ts'
import { createBlobDisk } from './drivers/blob-disk/index.ts'
import { createBlobS3 } from './drivers/blob-s3/index.ts'
import { createDnsResolver } from './drivers/dns/index.ts'
import { createGitSource } from './drivers/git/index.ts'
import { createHttpOutgoing } from './drivers/http/index.ts'
import { createOdoo } from './drivers/odoo/index.ts'
import { createBackupEngine } from './drivers/postgres/backup-engine.ts'
import { createDatabaseEngine } from './drivers/postgres/engine.ts'
import { createManagedReplicas } from './drivers/postgres/managed-replica.ts'
import { createProcessRuntime } from './drivers/process/index.ts'
import { createProxyRouter, createRouterProbe, openPrivateRoutes } from './drivers/proxy/index.ts'
import { createRedisEngine } from './drivers/redis/index.ts'
import { createSmtpTransport } from './drivers/smtp/index.ts'
import { createSsh } from './drivers/ssh/index.ts'
import { schema } from './graphql/schema.ts'
import { createSelection } from './graphql/selection.ts'
import { reachableHost, StartError } from './open-ports.ts'
import { demandProviders } from './platform/concept.ts'
import { createEgressGuard, type EgressGuard } from './platform/egress.ts'
import { trustOf } from './platform/forwarded.ts'
import { portsOf, type Settings } from './platform/settings.ts'
import type { App } from './platform/work.ts'
import { createWebhookBody as createOcoreBody } from './rest/ocore/index.ts'
import { createWebhookBody as createOecBody } from './rest/oec/index.ts'
import { createS3Endpoint, type S3Endpoint } from './s3/index.ts'

/** Creates the drivers and provides them to the ports. */
export async function provideDrivers(app: App): Promise<{ runtime: Runtime; s3: S3Endpoint; close(): Promise<void> }> {
  const { settings } = app
  const guard = createEgressGuard({ allow: settings.EGRESS_ALLOW })
  const runtime = await createProcessRuntime({
    dataDir: settings.DATA_DIR,
    sandbox: settings.SANDBOX,
    hostPath: settings.hostPath,
    hidden: [root],
    quotas: {
      releaseBytes: settings.RELEASE_MAX_BYTES,
      dataDirFreeBytes: settings.DISK_RESERVE_BYTES,
      allCachesBytes: settings.BUILD_CACHE_QUOTA_BYTES,
    },
  })
  const privateRoutes = await openPrivateRoutes(settings.DATA_DIR)
  const router = createProxyRouter({
    privateRoutes,
    bare: { host: settings.ROUTER_DOMAIN, text: bareText(settings) },
    trust: trustOf(settings.TRUST_PROXY),
    host: settings.HOST,
    port: settings.ROUTER_PORT,
    tlsPort: settings.ROUTER_TLS_PORT ?? null,
    challenges: (host, token) => findChallengeAnswer(app, host, token),
    upstreams: runtime,
    switchHoldMs: settings.DISK_SWITCH_HOLD_MS,
  })
  const { EGRESS_PROXY: egressProxy, NO_PROXY: except } = settings
  const http = createHttpOutgoing({ guard, ...(egressProxy ? { proxy: { url: egressProxy.reveal(), except } } : {}) })
  runtimePort.provide(app, runtime)
  diskStore.provide(app, runtime)
  routerPort.provide(app, router)
  routerProbePort.provide(app, createRouterProbe({ privateRoutes, host: settings.HOST, port: () => router.port }))
  outgoingHttp.provide(app, http)
  const authority = settings.ACME_DIRECTORY_URL === undefined ? null : await createAuthority(settings, guard)
  if (authority) certificateAuthority.provide(app, authority.driver)
  const local = createHttpOutgoing({ guard: routerGuard(settings) })
  odooPort.provide(app, createOdoo({ remote: http, local }))
  const { SERVER_TIMEOUT_MS: stage } = settings
  sshPort.provide(app, createSsh({ guard, timeoutsMs: { connection: stage, handshake: stage, login: stage, command: stage } }))
  selectionPort.provide(app, createSelection(app, schema))
  contractBodies.provide(app, { OEC: createOecBody(app), OCORE: createOcoreBody(app) })
  if (settings.WEBHOOK_ENGINE === 'svix') {
    // Imported only here, because its client is large.
    const { createSvixDispatcher } = await import('./drivers/svix/index.ts')
    dispatcherPort.provide(app, createSvixDispatcher({ serverUrl: settings.SVIX_SERVER_URL!, token: settings.SVIX_TOKEN!.reveal() }))
  }
  sourcePort.provide(
    app,
    createGitSource({
      guard,
      fileRoots: settings.GIT_FILE_ROOTS,
      forbiddenRoots: [settings.DATA_DIR],
      hostPath: settings.hostPath,
      workDir: join(settings.DATA_DIR, 'git'),
      sshKeyFile: settings.GIT_SSH_KEY_FILE,
    }),
  )
  const databases = { dataDir: settings.DATA_DIR, ports: portsOf(settings.DATABASE_PORTS) }
  databaseEngine.provide(app, createDatabaseEngine({ ...databases, serverUrl: settings.MANAGED_POSTGRES_URL }))
  replicaEngine.provide(app, createManagedReplicas(databases))
  backupStore.provide(app, createBackupStore(settings))
  const server = { url: settings.MANAGED_POSTGRES_URL, pgDump: settings.PG_DUMP }
  backupEngine.provide(app, createBackupEngine({ ...databases, reserveBytes: settings.DISK_RESERVE_BYTES, server }))
  redisEngine.provide(
    app,
    await createRedisEngine({ dataDir: settings.DATA_DIR, hostPath: settings.hostPath, ports: portsOf(settings.REDIS_PORTS) }),
  )
  const blobs = createBlobStore(settings)
  blobStore.provide(app, blobs)
  const s3 = createS3Endpoint(app, { host: settings.HOST, port: settings.S3_PORT })
  storageEndpoint.provide(app, {
    get url() {
      return settings.S3_PUBLIC_URL ?? `http://${reachableHost(settings.HOST)}:${s3.port}`
    },
  })
  dnsResolver.provide(app, createDnsResolver({ servers: settings.DNS_SERVERS }))
  const smtp = settings.SMTP_URL && createSmtpTransport({ url: settings.SMTP_URL, maxConnections: mailConcurrency })
  if (smtp) mailTransport.provide(app, smtp)
  demandProviders(app)
  return {
    runtime,
    s3,
    async close() {
      const graceMs = settings.SHUTDOWN_GRACE_MS * 0.8
      await Promise.all([router.close({ graceMs }), s3.close({ graceMs })])
      await Promise.all([http.close(), local.close(), authority?.close()])
      smtp?.close()
      await blobs.close?.()
    },
  }
}

/** The ACME server, over HTTP of its own, which trusts the authorities of ACME_CA_FILE. */
async function createAuthority(settings: Settings, guard: EgressGuard) {
  const { ACME_DIRECTORY_URL: directoryUrl, ACME_EMAIL: email, ACME_CA_FILE: file, EGRESS_PROXY: proxy, NO_PROXY: except } = settings
  const tls = file === undefined ? {} : { tls: { ca: await readAuthorities(file) } }
  const http = createHttpOutgoing({ guard, ...tls, ...(proxy ? { proxy: { url: proxy.reveal(), except } } : {}) })
  return { driver: createAcme({ directoryUrl: directoryUrl!, email, http }), close: () => http.close() }
}

async function readAuthorities(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new StartError(`ACME_CA_FILE cannot be read: ${(error as Error).message}`)
  }
}

/** Leads every name to the router of this machine, for requests to services of this installation. */
function routerGuard({ HOST }: Settings): EgressGuard {
  const host = reachableHost(HOST).replace(/^\[(.*)\]$/, '$1')
  return createEgressGuard({ allow: ['0.0.0.0/0', '::/0'], lookup: () => lookup(host, { all: true }) })
}

/** The bytes of objects are on another S3 server, or else below DATA_DIR. */
function createBlobStore(settings: Settings): BlobStore & { close?(): Promise<void> } {
  const { S3_ENDPOINT: endpoint, S3_REGION: region, S3_BUCKET: bucket, DATA_DIR, DISK_RESERVE_BYTES: reserveBytes } = settings
  if (!endpoint) return createBlobDisk({ directory: join(DATA_DIR, 'objects'), reserveBytes })
  const secretAccessKey = settings.S3_SECRET_ACCESS_KEY!.reveal()
  return createBlobS3({ endpoint, region, bucket, accessKeyId: settings.S3_ACCESS_KEY_ID!, secretAccessKey })
}

function createBackupStore(settings: Settings): BackupStore {
  const disk = createBackupDisk({ directory: settings.BACKUP_DIR, reserveBytes: settings.DISK_RESERVE_BYTES })
  const { BACKUP_S3_BUCKET: bucket } = settings
  if (bucket === undefined) return disk
  return createBackupS3({
    others: disk,
    bucket,
    endpoint: settings.BACKUP_S3_ENDPOINT,
    region: settings.BACKUP_S3_REGION,
    accessKeyId: settings.BACKUP_S3_ACCESS_KEY_ID!,
    secretAccessKey: settings.BACKUP_S3_SECRET_ACCESS_KEY!,
    prefix: settings.BACKUP_S3_PREFIX,
  })
}

const bareText = ({ ROUTER_DOMAIN, PUBLIC_URL, HOST, PORT }: Settings): string => {
  const api = PUBLIC_URL ?? (PORT === 0 ? null : `http://${HOST}:${PORT}`)
  return `This is the router of Quayside. Services are at {slug}.${ROUTER_DOMAIN} on this port.${api ? ` The API is at ${api}.` : ''}`
}
