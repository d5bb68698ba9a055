import { defineExtensionPoint } from '../../../platform/concept.ts'
import type { Tx } from '../../../platform/db/index.ts'
import type { EventDefinition } from '../../../platform/events.ts'
import type { Work } from '../../../platform/work.ts'

/** Something besides the password that a user has set up and must then show at each login. */
export type SecondFactor = {
  name: string
  /** The event types that `verify` publishes. */
  emits: readonly EventDefinition[]
  isRequired(tx: Tx, userId: string): Promise<boolean>
  /**
   * Whether a code is right. A right one must be used up in `work.tx`, also against parallel requests. If it is wrong, `work` is rolled back.
   * Attempts are counted by the caller.
   */
  verify(work: Work, userId: string, code: string): Promise<boolean>
}

/** Later concepts add second factors. A user who has several may use any of them. */
export const secondFactors = defineExtensionPoint<SecondFactor>('second factor')

/** What a user has set up besides the password, which gives access to the account or to something else. */
export type AccountCredential = {
  name: string
  forget(tx: Tx, userId: string): Promise<unknown>
}

/** Later concepts add the credentials that whoever turns out not to own the address of an account must lose. */
export const accountCredentials = defineExtensionPoint<AccountCredential>('credential of an account')
