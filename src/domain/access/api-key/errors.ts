import { defineErrors } from '../../../platform/errors.ts'

export const apiKeyErrors = defineErrors({
  api_key_taken: { kind: 'conflict', text: 'This key was already added to this installation. Create a new key instead.' },
  api_key_not_active: { kind: 'conflict', text: 'The API key has expired or was revoked. Create a new key instead.' },
})
