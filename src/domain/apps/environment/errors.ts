import { defineErrors } from '../../../platform/errors.ts'

export const environmentErrors = defineErrors({
  production_environment: { kind: 'unprocessable', text: 'A production environment cannot be deleted by this request.' },
})
