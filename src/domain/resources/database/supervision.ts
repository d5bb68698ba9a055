/** How the servers of databases are handled: the row becomes a spec, and the engine acts on it. */
import type { Database } from '../../../generated/prisma/client.ts'
import { run, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import type { Supervised } from '../resource/index.ts'
import { databaseEvents, eventOf } from './events.ts'
import { specOf } from './model.ts'
import { databaseEngine } from './ports.ts'

const spec = (app: App, database: Database) => specOf({ app, tx: app.db }, database)

export const supervisedDatabases: Supervised<Database> = {
  type: 'Database',
  table: 'database',
  noun: 'database',
  events: databaseEvents,
  eventOf,
  observe: (app, databases) => databaseEngine.use(app).observe(databases),
  async start(app, database) {
    await databaseEngine.use(app).start(await spec(app, database))
    await setPendingRestart(app, database, false)
  },
  async apply(app, database) {
    const { pendingRestart } = await databaseEngine.use(app).apply(await spec(app, database))
    await setPendingRestart(app, database, pendingRestart)
  },
  stop: (app, database) => databaseEngine.use(app).stop(database),
  remove: (app, database) => databaseEngine.use(app).remove(database),
}

const setPendingRestart = (app: App, { id }: Database, pending: boolean) =>
  run(app.db, sql`update database set pending_restart = ${pending} where id = ${id}::uuid and pending_restart <> ${pending}`)
