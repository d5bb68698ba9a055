import { defineErrors } from '../../../platform/errors.ts'

export const organizationErrors = defineErrors({
  last_organization: { kind: 'conflict', text: 'The last organization of an installation cannot be deleted.' },
})
