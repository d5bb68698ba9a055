import { defineErrors } from '../../../platform/errors.ts'
import { maxPending } from './model.ts'

export const invitationErrors = defineErrors({
  invitation_invalid: {
    kind: 'unprocessable',
    text: 'The invitation is not valid. It may have expired, or have been accepted, revoked or replaced by a newer one. Ask for a new invitation.',
  },
  already_member: { kind: 'conflict', text: 'A user with this email address is a member of the organization already.' },
  invitation_limit: {
    kind: 'unprocessable',
    text: `An organization can have at most ${maxPending} pending invitations. Revoke one first.`,
  },
  too_many_invitations: {
    kind: 'rate_limited',
    text: 'Too many invitations were mailed to this address, or by you, within an hour. Retry later.',
  },
})
