/** Passkeys (WebAuthn): registering them, and signing in with them. */
import { defineConcept } from '../../../platform/concept.ts'
import { stamped } from '../../../platform/db/constraints.ts'
import { run, sql } from '../../../platform/db/index.ts'
import { passwordlessLogins } from '../session/index.ts'
import { forgetChallenges } from './challenge.ts'
import { beginPasskeyRegistration, deletePasskey, finishPasskeyRegistration } from './commands.ts'
import { passkeyErrors } from './errors.ts'
import { pagePasskeys, passkeyListing } from './queries.ts'

export { beginPasskeyRegistration, deletePasskey, finishPasskeyRegistration } from './commands.ts'
export { passkeyErrors } from './errors.ts'
export { beginPasskeyLogin, loginWithPasskey } from './login.ts'
export { loginResponse as passkeyResponse, type PasskeyRow } from './model.ts'
export { pagePasskeys } from './queries.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    Passkey: 'pkey'
  }
}

export const passkey = defineConcept({
  name: 'passkey',
  idPrefixes: { Passkey: 'pkey' },
  nodes: [passkeyListing],
  commands: [beginPasskeyRegistration, finishPasskeyRegistration, deletePasskey],
  queries: [pagePasskeys],
  errors: [passkeyErrors],
  chores: [forgetChallenges],
  extensions: [
    passwordlessLogins.with({
      name: 'passkeys',
      forget: (tx, userId) => run(tx, sql`delete from passkey where user_id = ${userId}::uuid`),
    }),
  ],
  constraints: stamped('passkey'),
})
