import { defineErrors } from '../../../platform/errors.ts'

export const operationErrors = defineErrors({
  operation_not_cancellable: { kind: 'conflict', text: 'The operation has ended, or can no longer be cancelled.' },
})
