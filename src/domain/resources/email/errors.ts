import { defineErrors } from '../../../platform/errors.ts'

export const emailErrors = defineErrors({
  sending_domain_taken: { kind: 'conflict', text: 'The email service already has this domain.' },
  sending_domain_not_verified: { kind: 'unprocessable', text: 'The domain is not verified for this email service.' },
  recipient_not_verified: {
    kind: 'unprocessable',
    text: 'The email service is in the sandbox, and a recipient is not verified.',
  },
  verification_failed: { kind: 'unprocessable', text: 'The code is wrong or has expired.' },
  email_limit: { kind: 'unprocessable', text: 'The email service has reached a limit.' },
})
