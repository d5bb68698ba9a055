import { defineErrors } from '../../../platform/errors.ts'

export const projectErrors = defineErrors({
  not_empty: { kind: 'conflict', text: 'It still holds something. Delete that first, or pass cascade.' },
})
