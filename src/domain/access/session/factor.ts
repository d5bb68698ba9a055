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

/** Something with which a user can sign in without the password. */
export type PasswordlessLogin = {
  name: string
  forget(tx: Tx, userId: string): Promise<unknown>
}

/** Later concepts add theirs, because they end with a password that is replaced by somebody who does not know it. */
export const passwordlessLogins = defineExtensionPoint<PasswordlessLogin>('passwordless login')
