/** CPU and memory of databases with servers of their own. */
import type { Database } from '../../../generated/prisma/client.ts'
import { rows, sql } from '../../../platform/db/index.ts'
import { createUsageReader } from '../resource/index.ts'
import { databaseEngine } from './ports.ts'

export const databaseUse = createUsageReader(async (app, ids) => {
  const running = await rows<Database>(app.db, sql`select * from database where id = any(${[...ids]}::uuid[]) and status = 'RUNNING'`)
  return running.length > 0 ? databaseEngine.use(app).usage(running) : null
})
