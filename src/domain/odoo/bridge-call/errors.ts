import { defineErrors } from '../../../platform/errors.ts'

export const bridgeErrors = defineErrors({
  method_not_allowed: { kind: 'forbidden', text: 'The API key does not allow this model or method.' },
})
