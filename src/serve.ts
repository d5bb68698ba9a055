/** The composition root: drivers for the domain's ports, then the server and the jobs. The only place that chooses drivers. */

import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { createApp } from './app.ts'
import { bootstrap, bootstrapFile, refreshBootstrap } from './cli/bootstrap.ts'
import { isOperatorError, openApp, root } from './cli/open-app.ts'
import { listProcesses, recordProcess } from './cli/process-record.ts'
import { shutDown } from './cli/shutdown.ts'
import { dnsResolver, inboundDomain, inboundMail, mailConcurrency, mailTransport } from './domain/access/mail/index.ts'
import { sourcePort } from './domain/deploys/deployment/index.ts'
import {
  leaveRouter,
  openRouter,
  type Runtime,
  routerPort,
  routerProbePort,
  runtimePort,
  settleReconciler,
} from './domain/deploys/instance/index.ts'
import { backupEngine, backupStore } from './domain/resources/backup/index.ts'
import type { BackupStore } from './domain/resources/backup/ports.ts'
import { databaseEngine } from './domain/resources/database/index.ts'
import { replicaEngine } from './domain/resources/database-replica/index.ts'
import { emailApi } from './domain/resources/email/index.ts'
import { redisEngine } from './domain/resources/redis/index.ts'
import { settleResources } from './domain/resources/resource/index.ts'
import { storageEndpoint } from './domain/resources/storage/index.ts'
import { blobStore } from './domain/resources/stored-object/index.ts'
import type { BlobStore } from './domain/resources/stored-object/ports.ts'
import { dispatcherPort, outgoingHttp, selectionPort } from './domain/webhooks/endpoint/index.ts'
import { createBackupDisk } from './drivers/backup-disk/index.ts'
import { createBackupS3 } from './drivers/backup-s3/index.ts'
import { createBlobDisk } from './drivers/blob-disk/index.ts'
import { createBlobS3 } from './drivers/blob-s3/index.ts'
import { createDnsResolver } from './drivers/dns/index.ts'
import { createGitSource } from './drivers/git/index.ts'
import { createHttpOutgoing } from './drivers/http/index.ts'
import { createBackupEngine } from './drivers/postgres/backup-engine.ts'
import { createDatabaseEngine } from './drivers/postgres/engine.ts'
import type { EmbeddedPostgres, SupervisorChange } from './drivers/postgres/index.ts'
import { createManagedReplicas } from './drivers/postgres/managed-replica.ts'
import { createProcessRuntime } from './drivers/process/index.ts'
import { createProxyRouter, createRouterProbe, openPrivateRoutes } from './drivers/proxy/index.ts'
import { createRedisEngine } from './drivers/redis/index.ts'
import { createSmtpTransport } from './drivers/smtp/index.ts'
import { type MailReceiver, openMailReceiver } from './drivers/smtp/receiver.ts'
import { schema } from './graphql/schema.ts'
import { createSelection } from './graphql/selection.ts'
import { type Jobs, startJobs } from './jobs/index.ts'
import { pause } from './platform/clock.ts'
import { demandProviders } from './platform/concept.ts'
import { createEgressGuard } from './platform/egress.ts'
import { reportFailure } from './platform/failure-log.ts'
import { trustOf } from './platform/forwarded.ts'
import { portsOf, type Settings } from './platform/settings.ts'
import { catchUncaught, restartExitCode } from './platform/uncaught.ts'
import type { App } from './platform/work.ts'
import { restPlugin } from './rest/core/index.ts'
import { downloadPlugin } from './rest/download/index.ts'
import { platformDialect } from './rest/platform/index.ts'
import { trackingPlugin } from './rest/tracking/index.ts'
import { createS3Endpoint, type S3Endpoint } from './s3/index.ts'

export type Role = 'all' | 'api' | 'worker'

/** An error the operator can fix; printed without a stack trace. */
class StartError extends Error {}

/** What to print for an error of `serve`. */
export const reportOf = (error: unknown): unknown => (isOperatorError(error) || error instanceof StartError ? error.message : error)

/** How long a start waits for another process of this installation that is starting and may have opened the router's port. */
const othersStartMs = 20_000

const print = (line: string) => console.log(line)

/** Creates the drivers and provides them to the ports. */
async function provideDrivers(app: App): Promise<{ runtime: Runtime; s3: S3Endpoint; close(): Promise<void> }> {
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
    upstreams: runtime,
  })
  const { EGRESS_PROXY: egressProxy, NO_PROXY: except } = settings
  const http = createHttpOutgoing({ guard, ...(egressProxy ? { proxy: { url: egressProxy.reveal(), except } } : {}) })
  runtimePort.provide(app, runtime)
  routerPort.provide(app, router)
  routerProbePort.provide(app, createRouterProbe({ privateRoutes, host: settings.HOST, port: () => router.port }))
  outgoingHttp.provide(app, http)
  selectionPort.provide(app, createSelection(app, schema))
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
      await http.close()
      smtp?.close()
      await blobs.close?.()
    },
  }
}

/** The bytes of objects are on another S3 server, or else below DATA_DIR. */
function createBlobStore(settings: Settings): BlobStore & { close?(): Promise<void> } {
  const { S3_ENDPOINT: endpoint, S3_REGION: region, S3_BUCKET: bucket, DATA_DIR, DISK_RESERVE_BYTES: reserveBytes } = settings
  if (!endpoint) return createBlobDisk({ directory: join(DATA_DIR, 'objects'), reserveBytes })
  const secretAccessKey = settings.S3_SECRET_ACCESS_KEY!.reveal()
  return createBlobS3({ endpoint, region, bucket, accessKeyId: settings.S3_ACCESS_KEY_ID!, secretAccessKey })
}

/** A host that clients on this machine can connect to. HOST may be every address. */
const reachableHost = (host: string): string =>
  host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host

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

export type Start = {
  role: Role
  settings: Settings
  /** The embedded PostgreSQL, which may still be starting; null if DATABASE_URL names another database. */
  database: Promise<EmbeddedPostgres | null>
  /** Called once Ctrl-C is handled here. */
  onStarted(): void
}

/** Resolves when this process is ready. Throws if it can't start. */
export async function serve({ role, settings, database, onStarted }: Start): Promise<void> {
  const { app, postgres, close } = await openApp(settings, database)
  const supervisor = postgres?.supervise((change) => logDatabase(app, change))
  const record = await recordProcess(settings.DATA_DIR, role === 'worker' ? 'worker' : 'server')
  const api = { url: apiAddress(settings, settings.PORT) }
  emailApi.provide(app, api)
  const drivers = await provideDrivers(app)
  if (role !== 'api') await openRouterPort(app)
  if (role !== 'worker') await openS3Port(app, drivers.s3)
  const waitsFor = new Set(['the first start has not finished'])
  const rest = [restPlugin(app, [platformDialect]), trackingPlugin(app), downloadPlugin(app)]
  const options = { app, schema, rest, startWaitsFor: () => [...waitsFor] }
  const server = role === 'worker' ? null : await createApp(options)
  const receiver = server && (await openInbound(app))
  const apiUrl = server && (await listen(server, settings))
  if (apiUrl) api.url = apiUrl
  const graphqlUrl = apiUrl && `${apiUrl}/graphql`
  let jobs: Jobs | null = null

  let stopping = false
  /** Stops this process's work and releases its resources. Instances keep running. */
  const drain = async () => {
    const graceMs = settings.SHUTDOWN_GRACE_MS * 0.8
    await Promise.all([server?.close(), receiver?.close(), jobs?.stop({ graceMs })])
    await Promise.all([settleReconciler(app), settleResources(app)])
    await drivers.close()
    await leaveRouter(app)
    await close()
    await record.forget()
  }
  const stop = async (everything: boolean) => {
    // If draining exceeds the grace period, the process exits anyway, and others take over its work when the leases expire.
    await Promise.race([drain(), pause(settings.SHUTDOWN_GRACE_MS * 0.95)])
    supervisor?.close()
    if (everything) {
      const embedded = settings.DATABASE_URL === undefined
      await shutDown({ dataDir: settings.DATA_DIR, embedded, runtime: drivers.runtime, graceMs: settings.SHUTDOWN_GRACE_MS })
    }
  }
  /** Ctrl-C may arrive several times: from the terminal, from npm and from boot.mjs. */
  const beginShutdown = (everything: boolean, exitCode = 0) => {
    if (stopping) return
    stopping = true
    stop(everything).then(
      () => process.exit(exitCode),
      (error) => {
        app.log.error({ err: error }, 'the shutdown failed')
        process.exit(1)
      },
    )
  }
  catchUncaught(app.log, () => beginShutdown(false, restartExitCode))
  process.on('SIGTERM', () => beginShutdown(false))
  process.on('SIGINT', () => beginShutdown(role !== 'worker'))
  onStarted()

  const key = graphqlUrl && (await readyKey(app, graphqlUrl))
  await record.serving(server ? (server.server.address() as AddressInfo).port : null)
  waitsFor.clear()
  // Last, so that the first round of all jobs delays no one who waits for the start.
  if (role !== 'api' && !stopping) jobs = startJobs(app)
  if (graphqlUrl) printAddresses(app, graphqlUrl, key!)
  else print('Worker is running.')
  printWarnings(settings, drivers.runtime)
}

/** Logs each state change of the embedded PostgreSQL. The operator must act only if it can't be started. */
function logDatabase({ log }: App, change: SupervisorChange): void {
  if (change.state === 'failed') log.error({ err: change.error }, 'PostgreSQL could not be started. Retrying until it starts.')
  else if (change.state === 'lost') log.error('PostgreSQL has stopped or cannot be reached. Restarting it.')
  else log.warn('PostgreSQL is ready again.')
}

/** Opens the router's port. Another process of this installation, even one that is still starting, may have it already; other programs not. */
async function openRouterPort(app: App): Promise<void> {
  const { DATA_DIR, ROUTER_PORT } = app.settings
  const deadline = performance.now() + othersStartMs
  for (;;) {
    await openRouter(app)
    if (routerPort.use(app).ready) return
    const others = (await listProcesses(DATA_DIR)).filter(({ pid }) => pid !== process.pid)
    if (others.some(({ serving }) => serving)) return
    if (ROUTER_PORT !== 0 && (others.length === 0 || performance.now() > deadline))
      throw new StartError(`Port ${ROUTER_PORT} is in use by another program. Set ROUTER_PORT to another port.`)
    await pause(200)
  }
}

/**
 * Opens the port of the S3 endpoint, which other servers of this installation may have too. If another program has a port that nobody chose,
 * the endpoint gets a free one: a second installation on a machine starts with PORT and ROUTER_PORT alone.
 */
async function openS3Port(app: App, s3: S3Endpoint): Promise<void> {
  const { DATA_DIR, S3_PORT, s3PortIsSet } = app.settings
  const shared = (await listProcesses(DATA_DIR)).some(({ pid }) => pid !== process.pid)
  if (await s3.listen({ shared })) return
  if (s3PortIsSet) throw new StartError(`Port ${S3_PORT} is in use by another program. Set S3_PORT to another port.`)
  await s3.listen({ shared: true, port: 0 })
  app.log.warn(
    { port: s3.port },
    `port ${S3_PORT} is in use, so object storage has another port until the next start; set S3_PORT to keep one`,
  )
}

const othersServing = async ({ DATA_DIR }: Settings) =>
  (await listProcesses(DATA_DIR)).filter(({ pid, serving }) => serving && pid !== process.pid)

/** Opens the port for reports about mail. Null without MAIL_IN_PORT. */
async function openInbound(app: App): Promise<MailReceiver | null> {
  const { MAIL_IN_PORT: port, MAIL_IN_HOST, HOST } = app.settings
  if (port === undefined) return null
  const options = { host: MAIL_IN_HOST ?? HOST, port, name: inboundDomain(app.settings), handler: inboundMail(app) }
  const onError = (error: unknown) => void reportFailure(app, error, 'a report about mail could not be handled')
  try {
    return await openMailReceiver({ ...options, onError })
  } catch (error) {
    if (!['EADDRINUSE', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    throw new StartError(`Port ${port} cannot be opened for reports about mail. Set MAIL_IN_PORT to another port, or unset it.`)
  }
}

async function listen(server: FastifyInstance, settings: Settings): Promise<string> {
  const { HOST, PORT } = settings
  try {
    await server.listen({ host: HOST, port: PORT })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    const own = (await othersServing(settings)).find((process) => process.port === PORT)
    throw new StartError(
      own
        ? `Port ${PORT} is in use by the server of this installation, which is already running (pid ${own.pid}). Stop it with \`npm stop\`. Set PORT to run another server beside it.`
        : `Port ${PORT} is in use by another program. Set PORT to another port.`,
    )
  }
  return apiAddress(settings, (server.server.address() as AddressInfo).port)
}

/** Where the API is reached, without a slash at the end. */
const apiAddress = ({ PUBLIC_URL, HOST }: Settings, port: number): string =>
  PUBLIC_URL?.replace(/\/+$/, '') ?? `http://${reachableHost(HOST)}:${port}`

/** Creates the first API key if there is none. Returns the line that tells the operator where to find a key. */
async function readyKey(app: App, graphqlUrl: string): Promise<string> {
  const { DATA_DIR } = app.settings
  const first = await bootstrap(app, graphqlUrl)
  if (first) return `API key ${first.apiKey}`
  return (await refreshBootstrap(DATA_DIR, graphqlUrl))
    ? `The first API key is in ${bootstrapFile(DATA_DIR)}.`
    : 'To create an API key, run `npm run key`.'
}

function printAddresses(app: App, graphqlUrl: string, key: string): void {
  print(`GraphQL ${graphqlUrl}`)
  print(`Router http://${app.settings.ROUTER_DOMAIN}:${routerPort.use(app).port}`)
  print(`S3 ${storageEndpoint.use(app).url}`)
  print(key)
}

function printWarnings(settings: Settings, runtime: Runtime): void {
  if (!settings.production)
    print(
      'Development mode: loopback addresses can be reached and local repositories can be deployed. For production, set NODE_ENV=production.',
    )
  if (!settings.SMTP_URL) print('Mail is kept in the local outbox (`mailOutbox` in GraphQL). To send it, set SMTP_URL.')
  if (runtime.sandboxMissing) print(`NO SANDBOX: builds and instances run with the permissions of the server: ${runtime.sandboxMissing}`)
}
