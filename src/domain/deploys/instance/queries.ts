import type { Instance, RuntimeStatus } from '../../../generated/prisma/client.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'

/** Instances of many services in one statement, oldest first. */
export async function instancesByService(tx: Tx, serviceIds: readonly string[]): Promise<Instance[][]> {
  const found = await rows<Instance>(tx, sql`select * from instance where web_service_id = any(${serviceIds}::uuid[]) order by id`)
  const byService = Map.groupBy(found, (instance) => instance.webServiceId)
  return serviceIds.map((id) => byService.get(id) ?? [])
}

/** Observed status of many services in one statement. */
export async function statusByService(tx: Tx, serviceIds: readonly string[]): Promise<RuntimeStatus[]> {
  const found = await rows<{ webServiceId: string; status: RuntimeStatus }>(
    tx,
    sql`select web_service_id, status from service_runtime where web_service_id = any(${serviceIds}::uuid[])`,
  )
  const status = new Map(found.map((item) => [item.webServiceId, item.status]))
  return serviceIds.map((id) => status.get(id) ?? 'STOPPED')
}
