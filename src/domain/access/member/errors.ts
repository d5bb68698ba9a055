import { defineErrors } from '../../../platform/errors.ts'

export const memberErrors = defineErrors({
  last_owner: { kind: 'conflict', text: 'The organization must have at least one owner. Make another member an owner first.' },
  organization_limit: { kind: 'unprocessable', text: 'The user owns as many organizations as one user may own.' },
})
