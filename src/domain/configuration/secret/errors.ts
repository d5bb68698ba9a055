import { defineErrors } from '../../../platform/errors.ts'

export const secretErrors = defineErrors({
  secret_bound: { kind: 'conflict', text: 'The secret is bound to services. Unbind it first, or set force to true.' },
  version_revoked: { kind: 'conflict', text: 'This version of the secret has been revoked.' },
})
