import { z } from 'zod'
import type { Disk, WebService } from '../../../generated/prisma/client.ts'
import { changes, defineCommand } from '../../../platform/command.ts'
import { assignments, newRow, row, rows, run, type Sql, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { slugSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { holdsFor, replaceInstances, serviceOf } from '../../apps/web-service/index.ts'
import { lockService, lockUnder } from '../../configuration/variable/index.ts'
import { diskErrors } from './errors.ts'
import { diskEvents, eventOf } from './events.ts'
import { areNested, maxDisks, mountPathSchema, sizeSchema } from './model.ts'

export const createDisk = defineCommand({
  name: 'createDisk',
  description:
    'Creates a disk of a web service: a directory that outlives instances, deployments and restarts. Instances get it when they start the next time. A service with a disk runs one instance: fails with `disk_needs_one_instance` if it may have more. A service has at most 5 disks.',
  permission: 'manage:web_services',
  ids: { webServiceId: 'WebService' },
  targetType: 'WebService',
  creates: 'Disk',
  target: lockService,
  input: z.object({ name: slugSchema, mountPath: mountPathSchema, sizeBytes: sizeSchema }),
  emits: [diskEvents.created],
  async run(work, input, service: WebService) {
    if (service.kind === 'STATIC_SITE') throw diskErrors.disk_not_supported({ field: 'webServiceId' })
    if (service.maxInstances > 1) throw diskErrors.disk_needs_one_instance({ field: 'webServiceId' })
    const others = await rows<Disk>(work.tx, sql`select * from disk where web_service_id = ${service.id}::uuid`)
    if (others.length >= maxDisks) throw diskErrors.too_many_disks({ field: 'webServiceId', details: { limit: maxDisks } })
    demandFreeName(input.name, others)
    const nested = others.find(({ mountPath }) => areNested(mountPath, input.mountPath))
    if (nested) throw diskErrors.mount_path_taken({ field: 'mountPath', details: { mountPath: nested.mountPath } })
    const { organizationId, projectId, id: webServiceId } = service
    const fields = { id: newId(), organizationId, projectId, webServiceId, ...input }
    const disk = (await row<Disk>(work.tx, sql`insert into disk ${newRow(fields)} returning *`))!
    await publish(work, diskEvents.created, eventOf(disk))
    return { disk }
  },
})

function demandFreeName(name: string, others: readonly Disk[]): void {
  if (others.some((other) => other.name === name)) throw diskErrors.disk_name_taken({ field: 'name', details: { name } })
}

const lockDisk = lockUnder<Disk>('web_service', 'disk')

export const updateDisk = defineCommand({
  name: 'updateDisk',
  description:
    'Updates a disk. Omitted fields are left unchanged. `sizeBytes` can only be increased, and takes effect immediately; a new name when an instance starts the next time.',
  permission: 'manage:web_services',
  ids: { id: 'Disk' },
  targetType: 'Disk',
  target: lockDisk,
  input: z.object({ name: slugSchema.optional(), sizeBytes: sizeSchema.optional() }),
  emits: [diskEvents.updated],
  async run(work, input, target: Disk) {
    if (!changes(target, input)) return { disk: target }
    const { name = target.name, sizeBytes = target.sizeBytes } = input
    if (sizeBytes < target.sizeBytes) {
      throw errors.invalid_input({
        field: 'sizeBytes',
        text: `sizeBytes: must be at least ${target.sizeBytes}, because a disk can only grow`,
      })
    }
    const others = sql`select * from disk where web_service_id = ${target.webServiceId}::uuid and id <> ${target.id}::uuid`
    demandFreeName(name, await rows<Disk>(work.tx, others))
    const disk = (await row<Disk>(
      work.tx,
      sql`update disk set ${assignments({ name, sizeBytes })}, over_limit = over_limit and used_bytes > ${sizeBytes}, version = version + 1
          where id = ${target.id}::uuid returning *`,
    ))!
    await publish(work, diskEvents.updated, eventOf(disk))
    return { disk }
  },
})

export const deleteDisk = defineCommand({
  name: 'deleteDisk',
  description:
    'Deletes a disk with its data, which cannot be restored. Fails with `disk_in_use` if the service is running or about to start, unless `force` is set: then the service is restarted without the disk.',
  permission: 'delete:web_services',
  ids: { id: 'Disk' },
  targetType: 'Disk',
  target: lockDisk,
  input: z.object({ force: z.boolean().nullish() }),
  emits: [diskEvents.deleted],
  async run(work, { force }, target: Disk) {
    const service = await serviceOf(work.tx, target)
    const isUsed = service.desiredState === 'RUNNING' || (await holdsFor(work, service.id, 'willStart'))
    if (isUsed && !force) throw diskErrors.disk_in_use({ field: 'id' })
    await removeDisks(work, sql`id = ${target.id}::uuid`)
    if (isUsed) await replaceInstances(work, service.id)
    return { deletedId: target.id }
  },
})

/** Deletes disks. Their data is removed by a job, as soon as no instance has them. */
export async function removeDisks(work: Work, which: Sql): Promise<void> {
  const deleted = await rows<Disk>(work.tx, sql`delete from disk where ${which} returning *`)
  if (deleted.length === 0) return
  await run(work.tx, sql`insert into disk_removal (disk_id) select unnest(${deleted.map(({ id }) => id)}::uuid[])`)
  for (const disk of deleted) await publish(work, diskEvents.deleted, eventOf(disk))
  work.wake('disks')
}
