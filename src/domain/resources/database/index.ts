/** Managed PostgreSQL databases: created by an engine, supervised like instances, and connected to services by bindings. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { offeredPlans } from '../../apps/plan/index.ts'
import { supervisedKinds, superviseResources } from '../resource/index.ts'
import { bindableKinds, deleteWithEnvironment } from '../resource-binding/index.ts'
import { bindableDatabases } from './bound-value.ts'
import { replaceDatabase, rotateDatabasePassword, updateDatabase } from './change.ts'
import { connectDatabase, createDatabase, deleteDatabase, restartDatabase, startDatabase, stopDatabase } from './commands.ts'
import { databaseCreated, databaseEvents, databaseUpdated } from './events.ts'
import { passwordIdentity, superuserIdentity, urlIdentity } from './model.ts'
import { databasePlans } from './plans.ts'
import { databaseEngine } from './ports.ts'
import { countDatabases, countDatabasesByProject, databaseListing, findDatabase, listDatabases, sliceDatabases } from './queries.ts'
import { revealDatabase } from './reveal.ts'
import { supervisedDatabases } from './supervision.ts'

export { bindableDatabases } from './bound-value.ts'
export { replaceDatabase, rotateDatabasePassword, updateDatabase } from './change.ts'
export {
  connectDatabase,
  createDatabase,
  type DatabaseRow,
  defaultMaxConnections,
  deleteDatabase,
  insertDatabase,
  type NewDatabase,
  prepareDatabase,
  restartDatabase,
  shown,
  startDatabase,
  stopDatabase,
} from './commands.ts'
export { databaseCreated, databaseEvents, eventOf as databaseCreation } from './events.ts'
export { lockDatabase } from './lock.ts'
export { specOf } from './model.ts'
export { planOfDatabase } from './plans.ts'
export { type DatabaseSpec, databaseEngine } from './ports.ts'
export { countDatabasesByProject, databaseListing, findDatabase, listDatabases, sliceDatabases } from './queries.ts'
export { createReadings } from './readings.ts'
export { revealDatabase } from './reveal.ts'
export { databaseUse } from './usage.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Database: 'db'
  }
}

export const database = defineConcept({
  name: 'database',
  idPrefixes: { Database: 'db' },
  nodes: [databaseListing],
  commands: [
    createDatabase,
    updateDatabase,
    startDatabase,
    stopDatabase,
    restartDatabase,
    deleteDatabase,
    rotateDatabasePassword,
    revealDatabase,
    connectDatabase,
    replaceDatabase,
  ],
  queries: [findDatabase, listDatabases, sliceDatabases, countDatabases, countDatabasesByProject],
  events: [databaseCreated, databaseUpdated, ...Object.values(databaseEvents)],
  reactions: [deleteWithEnvironment('database')],
  chores: [superviseResources(supervisedDatabases)],
  ports: [databaseEngine],
  extensions: [offeredPlans.with(databasePlans), bindableKinds.with(bindableDatabases), supervisedKinds.with(supervisedDatabases)],
  sealed: [
    { table: 'database', key: 'id', column: 'password', identity: passwordIdentity },
    { table: 'database', key: 'id', column: 'superuser_password', identity: superuserIdentity },
    { table: 'database', key: 'id', column: 'url', identity: urlIdentity },
  ],
  constraints: [
    ...stamped('database'),
    check('database', 'max_connections', 'max_connections BETWEEN 1 AND 500'),
    check('database', 'port', 'port BETWEEN 1 AND 65535'),
  ],
})
