import { defineErrors } from '../../../platform/errors.ts'

export const installationErrors = defineErrors({
  email_taken: { kind: 'conflict', text: 'A user with this email address already exists.' },
})
