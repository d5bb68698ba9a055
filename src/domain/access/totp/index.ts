/** Time-based one-time passwords as a second factor, and recovery codes for those who lose them. */
import { defineConcept } from '../../../platform/concept.ts'
import { secondFactors } from '../session/index.ts'
import { disableTotp, enableTotp, setUpTotp } from './commands.ts'
import { totpErrors } from './errors.ts'
import { findProfile } from './queries.ts'
import { isEnabled, secretIdentity, useCode } from './store.ts'

export { disableTotp, enableTotp, setUpTotp } from './commands.ts'
export { findProfile, type Profile } from './queries.ts'
export { forgetTotp } from './store.ts'

export const totp = defineConcept({
  name: 'totp',
  commands: [setUpTotp, enableTotp, disableTotp],
  queries: [findProfile],
  errors: [totpErrors],
  extensions: [
    secondFactors.with({
      name: 'totp',
      emits: [],
      isRequired: isEnabled,
      verify: ({ app, tx }, userId, code) => useCode(app, tx, userId, code),
    }),
  ],
  sealed: [{ table: 'totp', key: 'user_id', column: 'secret', identity: secretIdentity, of: 'installation' }],
})
