import { defineErrors } from '../../../platform/errors.ts'

export const secretBindingErrors = defineErrors({
  alias_taken: { kind: 'conflict', text: 'The service already has a binding with this alias.' },
})
