/** Read-only replicas of managed databases: copied from their database, supervised, and made to follow it. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { followers, removalHolds, startHolds, supervisedKinds, superviseResources } from '../resource/index.ts'
import { createDatabaseReplica, deleteDatabaseReplica } from './commands.ts'
import { replicaErrors } from './errors.ts'
import { replicaCreated, replicaEvents } from './events.ts'
import { followDatabase, hasReplicas, reactions, waitsForDatabase } from './following.ts'
import { replicaEngine } from './ports.ts'
import { replicaListing } from './queries.ts'
import { supervisedReplicas } from './supervision.ts'

export { createDatabaseReplica, deleteDatabaseReplica } from './commands.ts'
export { replicaEngine } from './ports.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    DatabaseReplica: 'dbreplica'
  }
}

export const databaseReplica = defineConcept({
  name: 'database-replica',
  idPrefixes: { DatabaseReplica: 'dbreplica' },
  nodes: [replicaListing],
  errors: [replicaErrors],
  commands: [createDatabaseReplica, deleteDatabaseReplica],
  events: [replicaCreated, ...Object.values(replicaEvents)],
  reactions,
  chores: [superviseResources(supervisedReplicas)],
  ports: [replicaEngine],
  extensions: [
    supervisedKinds.with(supervisedReplicas),
    followers.with(followDatabase),
    startHolds.with(waitsForDatabase),
    removalHolds.with(hasReplicas),
  ],
  constraints: [...stamped('database_replica'), check('database_replica', 'port', 'port BETWEEN 1 AND 65535')],
})
