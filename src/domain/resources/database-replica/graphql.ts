import { builder, columnsOf, findRelated, type InputBuilder, loadRows, mutation, Node, payloadOf } from '../../../graphql/builder/index.ts'
import { demand } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { Database } from '../database/graphql.ts'
import { databaseListing } from '../database/index.ts'
import { serverFields } from '../resource/graphql.ts'
import { createDatabaseReplica, deleteDatabaseReplica } from './commands.ts'
import { lagsOf } from './lag.ts'
import { maxReplicas } from './model.ts'
import { replicasByDatabase } from './queries.ts'

export const DatabaseReplica = builder.prismaObject('DatabaseReplica', {
  description:
    'A read-only copy of a managed database, which follows it. Clients use the database name, role and password of the database.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:databases',
  fields: (t) => ({
    ...serverFields(t, 'DatabaseReplica', 'replica'),
    database: t.field({
      type: Database,
      description: 'Database that the replica follows.',
      select: { databaseId: true },
      resolve: ({ databaseId }, _args, context, info) => findRelated(context, info, databaseListing, databaseId),
    }),
    lagBytes: t.float({
      nullable: true,
      description:
        "Size of the database's changes that the replica has not applied yet, in bytes of the write-ahead log. At most three seconds old. Null if the replica is not running, or if it or the database does not answer.",
      resolve: ({ id }, _args, context) =>
        context.load('DatabaseReplica.lagBytes', id, (ids: readonly string[]) => lagsOf(context.app, ids)),
    }),
  }),
})

builder.prismaObjectField(Database, 'replicas', (t) =>
  t.field({
    type: [DatabaseReplica],
    extensions: { rows: maxReplicas },
    description: `Replicas of the database, oldest first. At most ${maxReplicas}.`,
    resolve: ({ id }, _args, context, info) => {
      demand(context.caller, 'view:databases')
      return loadRows(context, 'Database.replicas', id, columnsOf(info, 'DatabaseReplica'), replicasByDatabase)
    },
  }),
)

mutation(createDatabaseReplica, {
  input: (t: InputBuilder) => ({ databaseId: t.id({ required: true, description: 'ID of the database.' }) }),
  payload: payloadOf('databaseReplica', DatabaseReplica, 'The created replica.'),
})

mutation(deleteDatabaseReplica, {
  versioned: true,
  input: (t: InputBuilder) => ({ id: t.id({ required: true, description: 'ID of the replica.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted replica.', resolve: (result) => encodeId('DatabaseReplica', result.deletedId) }),
  }),
})
