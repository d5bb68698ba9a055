import { defineErrors } from '../../../platform/errors.ts'

export const storageErrors = defineErrors({
  bucket_name_taken: { kind: 'conflict', text: 'A bucket with this name already exists. Choose another name.' },
  bucket_not_empty: {
    kind: 'conflict',
    text: 'The bucket contains objects or unfinished uploads. Delete them first, or set force to true.',
  },
  storage_quota_exceeded: { kind: 'forbidden', text: 'The storage quota of the organization is exceeded.' },
})
