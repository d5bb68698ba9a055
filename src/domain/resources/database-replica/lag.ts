/** How far replicas are behind. */
import type { DatabaseReplica } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { createReadings } from '../database/index.ts'
import { replicaSpecOf } from './model.ts'
import { replicaEngine } from './ports.ts'

/** The lag of many replicas in bytes, in order. Null for one that is not running, or if it or its database does not answer. */
export const lagsOf = createReadings<DatabaseReplica, number>({
  noun: 'replica',
  running: (app, ids) =>
    rows<DatabaseReplica>(app.db, sql`select * from database_replica where id = any(${[...ids]}::uuid[]) and status = 'RUNNING'`),
  read: async (app, replica) => replicaEngine.use(app).lagBytes(await replicaSpecOf(app, replica)),
})
