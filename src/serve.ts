/** The composition root: ports and drivers, then the server and the jobs. */

import type { AddressInfo } from 'node:net'
import { createApp } from './app.ts'
import { bootstrap, bootstrapFile, refreshBootstrap } from './cli/bootstrap.ts'
import { isOperatorError, openApp } from './cli/open-app.ts'
import { recordProcess } from './cli/process-record.ts'
import { shutDown } from './cli/shutdown.ts'
import { apiEndpoint } from './domain/access/mail/index.ts'
import { followSettings, loadSettings } from './domain/access/setting/index.ts'
import { leaveRouter, type Runtime, routerPort, settleReconciler } from './domain/deploys/instance/index.ts'
import { adoptResources, settleResources } from './domain/resources/resource/index.ts'
import { storageEndpoint } from './domain/resources/storage/index.ts'
import type { EmbeddedPostgres, SupervisorChange } from './drivers/postgres/index.ts'
import { schema } from './graphql/schema.ts'
import { type Jobs, startChore, startJobs } from './jobs/index.ts'
import { apiAddress, listen, openInbound, openRouterPort, openS3Port, StartError } from './open-ports.ts'
import { pause } from './platform/clock.ts'
import { demandKnownLimits } from './platform/rate-limit/index.ts'
import type { Settings } from './platform/settings.ts'
import { catchUncaught, restartExitCode } from './platform/uncaught.ts'
import type { App } from './platform/work.ts'
import { provideDrivers } from './provide-drivers.ts'
import { authDialect, keysPlugin } from './rest/auth/index.ts'
import { bridgeDialect } from './rest/bridge/index.ts'
import { restPlugin } from './rest/core/index.ts'
import { downloadPlugin } from './rest/download/index.ts'
import { ocoreDialect } from './rest/ocore/index.ts'
import { oecDialect } from './rest/oec/index.ts'
import { pagesPlugin } from './rest/page/index.ts'
import { platformDialect } from './rest/platform/index.ts'
import { trackingPlugin } from './rest/tracking/index.ts'

export type Role = 'all' | 'api' | 'worker'

/** What to print for an error of `serve`. */
export const reportOf = (error: unknown): unknown => (isOperatorError(error) || error instanceof StartError ? error.message : error)

const print = (line: string) => console.log(line)

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
  apiEndpoint.provide(app, api)
  const drivers = await provideDrivers(app)
  if (role !== 'api') await openRouterPort(app)
  if (role !== 'worker') await openS3Port(app, drivers.s3)
  // Before the API shows them.
  if (role !== 'api') await adoptResources(app)
  await loadSettings(app)
  const settingsLoop = startChore(app, followSettings)
  const waitsFor = new Set(['the first start has not finished'])
  const doors = [keysPlugin, pagesPlugin, trackingPlugin, downloadPlugin].map((plugin) => plugin(app))
  const rest = [restPlugin(app, [platformDialect, ocoreDialect, authDialect, oecDialect, bridgeDialect]), ...doors]
  const options = { app, schema, rest, startWaitsFor: () => [...waitsFor] }
  const server = role === 'worker' ? null : await createApp(options)
  if (server) demandKnownLimits(app)
  const receiver = server && (await openInbound(app))
  const apiUrl = server && (await listen(server, settings))
  if (apiUrl) api.url = apiUrl
  const graphqlUrl = apiUrl && `${apiUrl}/graphql`
  let jobs: Jobs | null = null

  let stopping = false
  /** Stops this process's work and releases its resources. Instances keep running. */
  const drain = async () => {
    const graceMs = settings.SHUTDOWN_GRACE_MS * 0.8
    await Promise.all([server?.close(), receiver?.close(), jobs?.stop({ graceMs }), settingsLoop.stop(0)])
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
  if (apiUrl) printAddresses(app, apiUrl, key!)
  else print('Worker is running.')
  printWarnings(settings, drivers.runtime)
  giveBackMemory()
}

/** Time after which the first round of the jobs has ended. */
const startedMs = 1_000

/**
 * Returns the memory that only the start needed to the system. The collections that V8 does by itself don't: the young generation keeps the
 * size that it reached while the program was loaded. boot.mjs makes `gc` available.
 */
const giveBackMemory = (): void =>
  void setTimeout(() => void globalThis.gc?.({ type: 'major', flavor: 'last-resort', execution: 'async' }), startedMs).unref()

/** Logs each state change of the embedded PostgreSQL. The operator must act only if it can't be started. */
function logDatabase({ log }: App, change: SupervisorChange): void {
  if (change.state === 'failed') log.error({ err: change.error }, 'PostgreSQL could not be started. Retrying until it starts.')
  else if (change.state === 'lost') log.error('PostgreSQL has stopped or cannot be reached. Restarting it.')
  else log.warn('PostgreSQL is ready again.')
}

/** Creates the first API key and the owner's password if there is no key. Returns what tells the operator where to find them. */
async function readyKey(app: App, graphqlUrl: string): Promise<string> {
  const { DATA_DIR } = app.settings
  const first = await bootstrap(app, graphqlUrl)
  if (first) return `API key ${first.apiKey}\nTo sign in as ${first.ownerEmail}, use the password in ${bootstrapFile(DATA_DIR)}.`
  return (await refreshBootstrap(DATA_DIR, graphqlUrl))
    ? `The first API key is in ${bootstrapFile(DATA_DIR)}.`
    : 'To create an API key, run `npm run key`.'
}

function printAddresses(app: App, apiUrl: string, key: string): void {
  print(`GraphQL ${apiUrl}/graphql`)
  print(`Router http://${app.settings.ROUTER_DOMAIN}:${routerPort.use(app).port}`)
  print(`S3 ${storageEndpoint.use(app).url}`)
  print(`Sign in ${apiUrl}/login`)
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
