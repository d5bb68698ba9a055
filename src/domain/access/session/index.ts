/** Sessions: how people sign in, stay signed in, and are signed out. Passwords are those of the concept user. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { forgetAttempts } from './attempt.ts'
import { changePassword, revokeSession } from './commands.ts'
import { sessionErrors } from './errors.ts'
import { sessionRevoked, userLocked } from './events.ts'
import { expireSessions } from './jobs.ts'
import { listSessions, pageSessions, sessionListing } from './queries.ts'
import { mailResets } from './reset.ts'
import { mailSignUps } from './sign-up.ts'
import { privateKeyIdentity, renewSigningKeys } from './signing-key.ts'

export { isExpiredToken, isToken } from './access-token.ts'
export { clearAttempts, isWithinLimit, takeAttempt } from './attempt.ts'
export { callerOfToken } from './authenticate.ts'
export { changePassword, revokeSession } from './commands.ts'
export { sessionErrors } from './errors.ts'
export { sessionRevoked, userLocked } from './events.ts'
export { passwordlessLogins, type SecondFactor, secondFactors } from './factor.ts'
export { recordFailure } from './failure.ts'
export { login, loginInput, loginWithSecondFactor, type PartialLogin, secondFactorInput } from './login.ts'
export { inOrganizations, type LoginMethod, personOf, type ShownSession, type SignedIn } from './model.ts'
export { listSessions, pageSessions } from './queries.ts'
export { demandRecentLogin } from './recent.ts'
export { hashToken } from './refresh-token.ts'
export { replacePassword, requestReset, resetInput, resetPassword, resetRequestInput } from './reset.ts'
export { endSession, endSessionOf, endSessions, refreshSession, startSession } from './session.ts'
export { confirmSignUp, confirmSignUpInput, type SignUpInvitation, signUp, signUpInput, signUpInvitations } from './sign-up.ts'
export { publishedKeys } from './signing-key.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Session: 'ses'
  }
}

export const session = defineConcept({
  name: 'session',
  idPrefixes: { Session: 'ses' },
  nodes: [sessionListing],
  commands: [revokeSession, changePassword],
  queries: [listSessions, pageSessions],
  events: [sessionRevoked, userLocked],
  errors: [sessionErrors],
  chores: [renewSigningKeys, forgetAttempts, expireSessions, mailResets, mailSignUps],
  sealed: [{ table: 'signing_key', key: 'id', column: 'private_key', identity: privateKeyIdentity, of: 'installation' }],
  constraints: stamped('session'),
})
