import type { Instance, RuntimeStatus } from '../../../generated/prisma/client.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import { defineTable, type Reader } from '../../../platform/listing.ts'

const instances = defineTable('Instance')

/** Instances of many services in one statement, oldest first. */
export const instancesByService = (reader: Reader, serviceIds: readonly string[]): Promise<Instance[][]> =>
  instances.readBelow(reader, { parent: 'webServiceId', parentIds: serviceIds, orderBy: sql`t.id` })

/** Observed status of many services in one statement. */
export async function statusByService(tx: Tx, serviceIds: readonly string[]): Promise<RuntimeStatus[]> {
  const found = await rows<{ webServiceId: string; status: RuntimeStatus }>(
    tx,
    sql`select web_service_id, status from service_runtime where web_service_id = any(${serviceIds}::uuid[])`,
  )
  const status = new Map(found.map((item) => [item.webServiceId, item.status]))
  return serviceIds.map((id) => status.get(id) ?? 'STOPPED')
}
