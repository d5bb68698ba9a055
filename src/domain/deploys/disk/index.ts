/** Persistent disks of services: what they are called, where they are mounted and how large they may become. The driver keeps their data. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stampedByVersion } from '../../../platform/db/constraints.ts'
import { serviceConditions } from '../../apps/web-service/index.ts'
import { createDisk, deleteDisk, updateDisk } from './commands.ts'
import { diskErrors } from './errors.ts'
import { diskEvents } from './events.ts'
import { measureDisks, removeDeletedDisks } from './jobs.ts'
import { sizeRange } from './model.ts'
import { diskStore } from './ports.ts'
import { diskListing, findDisk, hasDisk } from './queries.ts'
import { reactions } from './reactions.ts'

export { createDisk, deleteDisk, updateDisk } from './commands.ts'
export { diskEvents } from './events.ts'
export { type DiskMount, diskStore } from './ports.ts'
export { diskListing, disksOverLimit, hasDisk, mountsOf } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Disk: 'disk'
  }
}

export const disk = defineConcept({
  name: 'disk',
  idPrefixes: { Disk: 'disk' },
  nodes: [diskListing],
  commands: [createDisk, updateDisk, deleteDisk],
  queries: [findDisk],
  events: Object.values(diskEvents),
  errors: [diskErrors],
  reactions,
  chores: [measureDisks, removeDeletedDisks],
  ports: [diskStore],
  extensions: [serviceConditions.with({ needsOneInstance: hasDisk })],
  constraints: [stampedByVersion('disk'), check('disk', 'size_bytes', `size_bytes BETWEEN ${sizeRange.least} AND ${sizeRange.most}`)],
})
