import { z } from 'zod'
import type { Database, DatabaseReplica } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { newRow, row, sql } from '../../../platform/db/index.ts'
import { errors, PortError } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { lockDatabase, prepareDatabase } from '../database/index.ts'
import { choosePort, insertResource, lockResource, markDeleted } from '../resource/index.ts'
import { replicaErrors } from './errors.ts'
import { eventOf, replicaCreated } from './events.ts'
import { maxReplicas } from './model.ts'

export const createDatabaseReplica = defineCommand({
  name: 'createDatabaseReplica',
  description: `Creates a read-only replica of a database and returns it with the status \`CREATING\`. It follows the database, and stops, starts and is deleted with it. Clients connect to its port with the database name, role and password of the database. A database can have at most ${maxReplicas} replicas; beyond that, the mutation fails with \`replica_limit\`. Fails with \`replica_not_supported\` for a database on the server of MANAGED_POSTGRES_URL.`,
  permission: 'manage:databases',
  ids: { databaseId: 'Database' },
  targetType: 'Database',
  target: (work, { databaseId }) => lockDatabase(work, { id: databaseId! }),
  input: z.object({}),
  emits: [replicaCreated],
  prepare: ({ app }) => prepareDatabase(app, 'replica'),
  async run(work, _input, database: Database, { place }) {
    if (!database.ownsPort) throw replicaErrors.replica_not_supported({ field: 'databaseId' })
    const existing = await row<{ count: number }>(
      work.tx,
      sql`select count(*)::int as count from database_replica where database_id = ${database.id}::uuid`,
    )
    if (existing!.count >= maxReplicas) throw replicaErrors.replica_limit({ field: 'databaseId' })
    if (place instanceof PortError) throw errors.unavailable({ text: place.message, cause: place })
    const { organizationId, projectId, environmentId, desiredState, generation, revision } = database
    const id = newId()
    const port = await choosePort(work, { candidates: place.candidates, noun: 'replica', setting: 'DATABASE_PORTS' })
    await insertResource(work, { id, type: 'DatabaseReplica', environment: { id: environmentId, projectId }, port })
    const data = {
      ...{ id, organizationId, projectId, environmentId, databaseId: database.id, host: place.host, port },
      ...{ desiredState, status: 'CREATING' as const, generation, revision },
    }
    const databaseReplica = (await row<DatabaseReplica>(work.tx, sql`insert into database_replica ${newRow(data)} returning *`))!
    work.wake('database_replica')
    await publish(work, replicaCreated, eventOf(databaseReplica))
    return { databaseReplica }
  },
})

export const deleteDatabaseReplica = defineCommand({
  name: 'deleteDatabaseReplica',
  description: 'Deletes a replica with its copy of the data. It remains readable until the copy is removed.',
  permission: 'manage:databases',
  ids: { id: 'DatabaseReplica' },
  targetType: 'DatabaseReplica',
  target: lockResource<DatabaseReplica>('database_replica', { deleted: true }),
  input: z.object({}),
  emits: [],
  async run(work, _input, target: DatabaseReplica) {
    if (target.desiredState !== 'DELETED') await markDeleted(work, 'database_replica', target.id)
    return { deletedId: target.id }
  },
})
