/** RELEASE of an Odoo instance: an empty database is filled before its first server starts. */
import type { App } from '../../../platform/work.ts'
import type { KindRelease } from '../../deploys/deployment/index.ts'
import { runtimePort } from '../../deploys/instance/index.ts'
import { type DatabaseSpec, databaseEngine } from '../../resources/database/index.ts'
import { databaseSpecOf, instanceOf, odooKind, serverCommand } from './kind.ts'

export const odooRelease: KindRelease = {
  kind: 'ODOO',

  async run({ app, deployment, log, signal, facts: readFacts }) {
    const database = await databaseSpecOf(app, await instanceOf(app.db, deployment.webServiceId))
    if (await isInitialised(app, database)) return 'skipped'
    const facts = await readFacts()
    const { webServiceId: serviceId, deploymentId, releaseDigest: digest, env, disks } = facts
    const { files } = await odooKind.launch(app, facts)
    const command = `${serverCommand(app)} -i base --stop-after-init --no-http --workers 0`
    await log.say('Initializing the database.')
    const request = { serviceId, deploymentId, digest, env, disks, command, ...(files ? { files } : {}) }
    await runtimePort.use(app).runReleaseCommand(request, { output: log.sink(), signal })
    return 'done'
  },

  // An initialization that was interrupted begins again, and what it has done so far harms nothing.
  resume: async () => {},
  undo: async () => {},
  warnings: async () => [],
}

async function isInitialised(app: App, database: DatabaseSpec): Promise<boolean> {
  const engine = databaseEngine.use(app)
  const [table] = await engine.query<{ exists: boolean }>(database, "select to_regclass('public.ir_module_module') is not null as exists")
  if (!table?.exists) return false
  return (await engine.query(database, "select 1 from ir_module_module where name = 'base' and state = 'installed'")).length > 0
}
