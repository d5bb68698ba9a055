import type { Redis } from '../../../generated/prisma/client.ts'
import { lockResource } from '../resource/index.ts'

/** Locks an instance within the caller's scope. Null if it does not exist or is being deleted. */
export const lockRedis = lockResource<Redis>('redis')
