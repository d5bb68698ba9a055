import { defineErrors } from '../../../platform/errors.ts'

export const diskErrors = defineErrors({
  disk_not_supported: { kind: 'unprocessable', text: 'A static site has no instances, so it cannot have a disk.' },
  disk_needs_one_instance: {
    kind: 'conflict',
    text: 'A service with a disk runs one instance. Set minInstances and maxInstances to 1 first.',
  },
  too_many_disks: { kind: 'unprocessable', text: 'The service has the maximum number of disks.' },
  disk_name_taken: { kind: 'conflict', text: 'The service already has a disk with this name.' },
  mount_path_taken: { kind: 'conflict', text: 'The service has another disk at this path, above it or below it.' },
  disk_in_use: {
    kind: 'conflict',
    text: 'The service is running or about to start with this disk. Stop it first, or set force to restart it without the disk.',
  },
})
