import { defineErrors } from '../../../platform/errors.ts'

export const projectErrors = defineErrors({
  not_empty: { kind: 'conflict', text: 'The project is not empty. Delete its contents first, or set cascade to true.' },
})
