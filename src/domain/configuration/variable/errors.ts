import { defineErrors } from '../../../platform/errors.ts'

export const variableErrors = defineErrors({
  key_taken: { kind: 'conflict', text: 'A variable with this key already exists.' },
})
