/** What services of the kind ODOO add to their deployments: the source of Odoo, its configuration file, its second port and its checks. */
import type { Database, OdooInstance } from '../../../generated/prisma/client.ts'
import { row, sql, type Tx } from '../../../platform/db/index.ts'
import { PortError } from '../../../platform/errors.ts'
import type { App } from '../../../platform/work.ts'
import type { ExtraSettings } from '../../apps/web-service/index.ts'
import { sourcePort } from '../../deploys/deployment/index.ts'
import type { KindExtension, SuppliedTool } from '../../deploys/instance/index.ts'
import { type DatabaseSpec, specOf } from '../../resources/database/index.ts'
import { resourceTopic } from '../../resources/resource/index.ts'
import type { ModulePlaces } from '../module-update/index.ts'
import { type OdooRelease, planAddons } from './addons.ts'
import { configFile, majorOf, parseLines } from './config.ts'
import { adminIdentity, type InstanceSettings } from './model.ts'

type Pinned = Pick<InstanceSettings, 'odooVersion' | 'addonsPath' | 'workers' | 'config'> & {
  /** Of Odoo's source. Absent where Odoo is an installed command. */
  odooCommit?: string
}

const pinnedOf = (extra: ExtraSettings) => extra as ExtraSettings & Pinned

const repositoryOf = (app: App) => ({ url: app.settings.ODOO_SOURCE_URL, credential: null, sshKey: null })

/** Releases find the program by its name; an installed one has a path. */
const serverCommand = (app: App) => `exec ${app.settings.ODOO_COMMAND ?? program} -c "$QUAYSIDE_FILES/${fileName}"`
const program = 'odoo-bin'
const fileName = 'odoo.conf'
const toolName = 'odoo-'

export const odooKind: KindExtension = {
  kind: 'ODOO',

  async settings(tx, serviceId) {
    const { odooVersion, addonsPath, workers, config } = await instanceOf(tx, serviceId)
    return { odooVersion, addonsPath, workers, config }
  },

  async pin(app, { serviceId }, settings, io): Promise<ExtraSettings> {
    await untilDatabaseRuns(app, serviceId, io.signal)
    if (app.settings.ODOO_COMMAND) return {}
    const { odooVersion: branch } = pinnedOf(settings)
    const source = sourcePort.use(app)
    const repository = repositoryOf(app)
    source.check(repository.url, branch)
    const { hash } = await source.pin({ repository, branch, commit: null }, io)
    return { odooCommit: hash }
  },

  build(app, extra) {
    const { odooVersion, addonsPath, odooCommit } = pinnedOf(extra)
    return {
      plan: (tree) => planAddons(tree, { odooVersion, addonsPath, startCommand: serverCommand(app) }),
      tools: odooCommit === undefined ? [] : [sourceTool(app, odooVersion, odooCommit)],
    }
  },

  async launch(app, { webServiceId, settings, releaseFacts }) {
    const { workers, config } = pinnedOf(settings.extra ?? {})
    const { odooVersion, addons } = releaseFacts as OdooRelease
    const instance = await instanceOf(app.db, webServiceId)
    const database = await databaseSpecOf(app, instance)
    const adminPassword = await app.keyring.open(app.db, instance.organizationId, adminIdentity(instance.id), instance.adminPassword)
    const lines = parseLines(config)
    if ('problem' in lines) throw new PortError('START_FAILED', `The settings of the instance are not valid: config: ${lines.problem}.`)
    return {
      secondPort: workers > 0,
      files: (places) => ({
        [fileName]: configFile({
          ...{ odooVersion, database, adminPassword, workers, lines, httpPort: places.port, eventedPort: places.secondPort },
          addonsPath: [...ownAddons(places.tools), ...addons.map((path) => (path === '.' ? places.app : `${places.app}/${path}`))],
          dataDirectory: `${places.tree}/${dataFolder}`,
        }),
      }),
    }
  },

  checks(extra) {
    const { odooVersion } = pinnedOf(extra)
    // The ports open one after the other, and only the login needs the database.
    return [{ path: '/web/login', status: 200 }, ...(majorOf(odooVersion) >= 16 ? [{ path: '/websocket', upgrade: true as const }] : [])]
  },

  rules: [
    { path: '/websocket', to: 'second_port' },
    { path: '/longpolling', to: 'second_port' },
    // Odoo shows the page of its database manager even if the manager is off.
    { path: '/web/database', to: 'not_found' },
  ],

  // Longer than a request may take: a worker that imports data answers nothing else.
  failuresAllowed: 300,
}

function sourceTool(app: App, odooVersion: string, hash: string): SuppliedTool {
  const commit = { hash, message: '', branch: odooVersion }
  return {
    ...{ name: `${toolName}${hash}`, title: `Odoo ${odooVersion}`, program },
    source: sourcePort.use(app).tree(repositoryOf(app), commit),
  }
}

/** An installed Odoo knows where its own addons are. */
const ownAddons = (tools: Readonly<Record<string, string>>): string[] =>
  Object.entries(tools).flatMap(([name, path]) => (name.startsWith(toolName) ? [`${path}/addons`] : []))

/** Where the disk is mounted within a release. */
export const dataFolder = '.odoo'

export const instanceOf = async (tx: Tx, serviceId: string): Promise<OdooInstance> => {
  const found = await row<OdooInstance>(tx, sql`select * from odoo_instance where id = ${serviceId}::uuid`)
  if (!found) throw new Error(`service ${serviceId} has no Odoo instance`)
  return found
}

/** The database of an instance, with its password. Throws START_FAILED if it was deleted. */
const databaseSpecOf = async (app: App, instance: OdooInstance): Promise<DatabaseSpec> =>
  specOf({ app, tx: app.db }, await databaseOf(app, instance))

async function databaseOf(app: App, { databaseId }: OdooInstance): Promise<Database> {
  const found = databaseId && (await row<Database>(app.db, sql`select * from database where id = ${databaseId}::uuid`))
  if (found) return found
  throw new PortError('START_FAILED', 'The database of the instance was deleted.', { hint: 'Restore a backup into a new instance.' })
}

/** Waits until the database of an instance runs, which is created with it. Throws CONFIG_UNRESOLVED if it is stopped or cannot run. */
async function untilDatabaseRuns(app: App, serviceId: string, signal: AbortSignal): Promise<void> {
  const instance = await instanceOf(app.db, serviceId)
  for (;;) {
    signal.throwIfAborted()
    const { id, status, statusMessage } = await databaseOf(app, instance)
    if (status === 'RUNNING') return
    if (status === 'FAILED' || status === 'STOPPED' || status === 'STOPPING' || status === 'DELETING') {
      const reason = statusMessage ?? `It is ${status}.`
      throw new PortError('CONFIG_UNRESOLVED', `The database of the instance does not run. ${reason}`, {
        hint: 'Start the database, then deploy again.',
      })
    }
    await app.wake.next(resourceTopic(id), 500, signal)
  }
}

/** What updates of modules need to know of an instance. */
export const modulePlaces: ModulePlaces = {
  placeOf: (app, serviceId) => instanceOf(app.db, serviceId),
  addonsOf: (releaseFacts) => (releaseFacts as OdooRelease).addons,
}
