import { defineErrors } from '../../../platform/errors.ts'

export const memberErrors = defineErrors({
  organization_limit: { kind: 'unprocessable', text: 'The user owns as many organizations as one user may own.' },
})
