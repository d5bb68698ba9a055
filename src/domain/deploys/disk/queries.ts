import type { Disk } from '../../../generated/prisma/client.ts'
import { row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { defineListing, findQuery, type Reader } from '../../../platform/listing.ts'
import { variableOf } from './model.ts'
import type { DiskMount } from './ports.ts'

export const diskListing = defineListing({
  type: 'Disk',
  noun: 'disk',
  permission: 'view:web_services',
  order: 'oldest_first',
  audited: ['name', 'mountPath', 'sizeBytes', 'webServiceId'],
})

export const findDisk = findQuery(diskListing)

/** Disks of many services in one statement, oldest first. */
export const disksByService = (reader: Reader, serviceIds: readonly string[]): Promise<Disk[][]> =>
  diskListing.readBelow(reader, { parent: 'webServiceId', parentIds: serviceIds, orderBy: sql`t.id` })

/** The disks that an instance gets when it starts. One that is over its limit is read-only. */
export async function mountsOf(tx: Tx, webServiceId: string): Promise<DiskMount[]> {
  const found = await rows<Disk>(tx, sql`select * from disk where web_service_id = ${webServiceId}::uuid order by id`)
  return found.map(({ id, mountPath, name, overLimit }) => ({ diskId: id, mountPath, variable: variableOf(name), readOnly: overLimit }))
}

/** A condition on a service `s`: it has a disk, so it runs one instance at a time. */
export const hasDisk = sql`exists (select 1 from disk k where k.web_service_id = s.id)`

/** Names of the disks of a service that are over their limit; null if the service has no disk. */
export async function disksOverLimit(tx: Tx, webServiceId: string): Promise<string[] | null> {
  const found = await row<{ count: number; over: string[] }>(
    tx,
    sql`select count(*)::int as count, coalesce(array_agg(name order by id) filter (where over_limit), '{}') as over
        from disk where web_service_id = ${webServiceId}::uuid`,
  )
  return found!.count === 0 ? null : found!.over
}
