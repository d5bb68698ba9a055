import type { DatabaseReplica } from '../../../generated/prisma/client.ts'
import { sql } from '../../../platform/db/index.ts'
import { defineListing, type Reader } from '../../../platform/listing.ts'

export const replicaListing = defineListing({
  type: 'DatabaseReplica',
  noun: 'replica',
  permission: 'view:databases',
  order: 'oldest_first',
  nameColumn: 'databaseId',
  audited: ['databaseId', 'desiredState'],
})

/** Replicas of many databases in one statement, oldest first. */
export const replicasByDatabase = (reader: Reader, databaseIds: readonly string[]): Promise<DatabaseReplica[][]> =>
  replicaListing.readBelow(reader, { parent: 'databaseId', parentIds: databaseIds, orderBy: sql`t.id` })
