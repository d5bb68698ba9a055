import { defineErrors } from '../../../platform/errors.ts'

export const sessionErrors = defineErrors({
  login_failed: { kind: 'unauthenticated', text: 'The email address or the password is wrong.' },
  code_failed: { kind: 'unauthenticated', text: 'The code is wrong, or was used before.' },
  login_expired: { kind: 'unauthenticated', text: 'The login took too long or is not valid. Sign in again.' },
  login_not_recent: {
    kind: 'forbidden',
    text: 'This changes how you sign in, and you signed in more than 10 minutes ago. Sign in again first.',
  },
  login_locked: { kind: 'rate_limited', text: 'Too many attempts to sign in failed. Retry later, or reset the password.' },
  refresh_failed: { kind: 'unauthenticated', text: 'The refresh token is not valid. Sign in again.' },
  reset_invalid: { kind: 'invalid', text: 'The link is not valid, has expired or was used. Request a new one.' },
  sign_up_invalid: { kind: 'invalid', text: 'The link is not valid, has expired or was used. Sign up again, or sign in.' },
  account_exists: { kind: 'conflict', text: 'This email address has an account. Sign in to accept the invitation.' },
  sign_up_closed: { kind: 'forbidden', text: 'An invitation is required to create an account.' },
})
