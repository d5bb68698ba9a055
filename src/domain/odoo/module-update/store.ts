/** Rows of module updates. */
import type { Database, ModuleUpdate } from '../../../generated/prisma/client.ts'
import { newRow, row, run, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { databaseEngine, specOf } from '../../resources/database/index.ts'
import type { ReleaseModule, UpdateChoice } from './model.ts'

export type DatabaseSpec = Awaited<ReturnType<typeof specOf>>

export type Stage = 'CHOSEN' | 'UPDATING' | 'UPDATED' | 'RESTORING' | 'RESTORED'

export const updateOf = (tx: Tx, deploymentId: string): Promise<ModuleUpdate | null> =>
  row<ModuleUpdate>(tx, sql`select * from module_update where deployment_id = ${deploymentId}::uuid`)

type NewUpdate = Pick<ModuleUpdate, 'deploymentId' | 'organizationId' | 'webServiceId' | 'databaseId' | 'diskId'> & {
  modules: ReleaseModule[]
  choice: UpdateChoice
}

export const insertUpdate = (tx: Tx, { modules, choice, ...fields }: NewUpdate): Promise<number> =>
  run(
    tx,
    sql`insert into module_update ${newRow({ ...fields, modules: JSON.stringify(modules), choice: JSON.stringify(choice), stage: 'CHOSEN' })}`,
  )

export const setStage = (tx: Tx, deploymentId: string, stage: Stage): Promise<number> =>
  run(tx, sql`update module_update set stage = ${stage} where deployment_id = ${deploymentId}::uuid`)

/** Modules of the live release of a service. Empty if none is live. */
export async function liveModules(tx: Tx, webServiceId: string): Promise<ReleaseModule[]> {
  const found = await row<{ modules: ReleaseModule[] }>(
    tx,
    sql`select u.modules from module_update u join deployment d on d.id = u.deployment_id
        where d.web_service_id = ${webServiceId}::uuid and d.status = 'LIVE'`,
  )
  return found?.modules ?? []
}

/** Null if the database was deleted. */
export async function specOfDatabase(app: App, databaseId: string): Promise<DatabaseSpec | null> {
  const database = await row<Database>(app.db, sql`select * from database where id = ${databaseId}::uuid`)
  return database && (await specOf({ app, tx: app.db }, database))
}

export async function removeSnapshots(app: App, { deploymentId, databaseId }: ModuleUpdate): Promise<void> {
  const spec = await specOfDatabase(app, databaseId)
  if (spec) await databaseEngine.use(app).removeSnapshot(spec, deploymentId)
  await run(app.db, sql`update module_update set has_snapshot = false where deployment_id = ${deploymentId}::uuid`)
}
