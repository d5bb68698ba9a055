import { defineErrors } from '../../../platform/errors.ts'

export const resourceErrors = defineErrors({
  resource_in_use: { kind: 'conflict', text: 'The resource is connected to services. Disconnect it first, or set force to true.' },
  resource_busy: { kind: 'conflict', text: 'Another operation on this resource is in progress. Retry when it has ended.' },
})
