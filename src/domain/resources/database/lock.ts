import type { Database } from '../../../generated/prisma/client.ts'
import { sql } from '../../../platform/db/index.ts'
import { lockResource } from '../resource/index.ts'

/** Locks the database `id` within the caller's scope. Null if it does not exist or is being deleted, and for a replica. */
export const lockDatabase = lockResource<Database>('database', { condition: sql`t.primary_id is null` })
