import { defineErrors } from '../../../platform/errors.ts'

export const envVarErrors = defineErrors({
  key_taken: { kind: 'conflict', text: 'This key is taken.' },
})
