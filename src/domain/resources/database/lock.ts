import type { Database } from '../../../generated/prisma/client.ts'
import { lockResource } from '../resource/index.ts'

/** Locks the database `id` within the caller's scope. Null if it does not exist or is being deleted. */
export const lockDatabase = lockResource<Database>('database')
