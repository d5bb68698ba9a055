import type { Database, DatabaseReplica } from '../../../generated/prisma/client.ts'
import { row, sql } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { specOf } from '../database/index.ts'
import type { ReplicaSpec } from './ports.ts'

/** Replicas that a database can have. */
export const maxReplicas = 3

/** What the engine needs, with the opened passwords of the database. */
export async function replicaSpecOf(app: App, { id, host, port, databaseId }: DatabaseReplica): Promise<ReplicaSpec> {
  const database = (await row<Database>(app.db, sql`select * from database where id = ${databaseId}::uuid`))!
  return { id, host, port, primary: await specOf({ app, tx: app.db }, database) }
}
