import { defineErrors } from '../../../platform/errors.ts'

export const secretErrors = defineErrors({
  secret_bound: { kind: 'conflict', text: 'The secret is bound to services. Unbind it first, or pass force.' },
  version_revoked: { kind: 'conflict', text: 'This version was revoked.' },
})
